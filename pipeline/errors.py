"""Errors of Overtile, grouped by the action that they need.

::

    PipelineError
    |- ConfigError   the operator edits a command, file or folder; nothing ran
    |- SceneError    one scene is at fault; it is recorded and the others go on
    |- ModelError    the model is at fault; stop before the first tile
    |- ExportError   a result could not be written; free space or rights, then retry
    |- ClusterError  the cluster was lost midway; nothing is lost, the same command goes on
    `- LockedError   another run holds the output folder; wait for it

Arguments are positional, so that an error unpickles when it comes back from a
worker in another process.
"""


class PipelineError(Exception):
    """Root of every error that Overtile raises on purpose."""


class ConfigError(PipelineError):
    """A command, configuration or folder must be changed before anything can run."""


class SceneError(PipelineError):
    """One scene cannot be mapped; the message names file, reason and way out.

    Args:
        scene: The file, URL or item as the user wrote it.
        reason: What is wrong, with the value and the limit.
        hint: What the user can do about it.
    """

    def __init__(self, scene: str, reason: str, hint: str) -> None:
        super().__init__(scene, reason, hint)
        self.scene = scene
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        """Return ``scene: reason; way out``."""
        return f"{self.scene}: {self.reason}; {self.hint}"


class ModelError(PipelineError):
    """A model cannot be loaded or trusted; no tile was predicted."""


class ExportError(PipelineError):
    """A result could not be written; nothing half-written is left under its name."""


class ClusterError(PipelineError):
    """The cluster was lost or has no suitable worker left; what was mapped is kept."""


class LockedError(PipelineError):
    """Another run holds the output folder.

    Args:
        folder: The folder that is locked.
        holder: Process and host that hold it, and since when.
        hint: What the user can do about it.
    """

    def __init__(
        self,
        folder: str,
        holder: str,
        hint: str = "wait for it to end or choose another --out",
    ) -> None:
        super().__init__(folder, holder, hint)
        self.folder = folder
        self.holder = holder
        self.hint = hint

    def __str__(self) -> str:
        """Return the holder, the folder and what to do."""
        return f"{self.folder} is in use by {self.holder}; {self.hint}"


def interrupted(error: BaseException) -> bool:
    """Return whether a signal to stop is behind an error.

    Compiled code may go on where KeyboardInterrupt came; Python then raises a SystemError
    that has it as its cause.
    """
    found: BaseException | None = error
    while isinstance(found, SystemError):
        found = found.__cause__
    return isinstance(found, KeyboardInterrupt)
