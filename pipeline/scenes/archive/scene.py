"""A scene in an archive: that of the extracted file, under the archive's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Shaped

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.archive import extract
from pipeline.scenes.archive.members import archive_of
from pipeline.scenes.kinds import kind_of
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef


def _split(href: str) -> tuple[str, str]:
    found = archive_of(href)
    if found is None:
        raise SceneError(href, "its archive is not there", "check that it is there and may be read")
    return found


def member_digest(href: str) -> str:
    """Return what identifies a member's content: that of the extracted file.

    Raises:
        SceneError: It cannot be read any more.
    """
    with extract.extracted(*_split(href)) as path:
        try:
            return content_digest(str(path))
        except SceneError as error:
            raise _renamed(error, str(path), href) from error


def _renamed(error: SceneError, path: str, href: str) -> SceneError:
    """Return an error that names the member, not the extracted file."""
    texts = (error.scene, error.reason, error.hint)
    return SceneError(*(text.replace(path, href) for text in texts))


class ZippedScene:
    """A GeoTIFF, JPEG 2000 or picture in a ZIP archive, extracted while it is open.

    Its fingerprint is that of the file, so that results do not depend on the archive.
    """

    def __init__(
        self,
        ref: SceneRef,
        open_file: Callable[..., Scene],
        *,
        known: SceneInfo | None = None,
    ) -> None:
        """Extract, open and examine a member.

        Args:
            ref: Of kind ``zipped``; ``/a/b.zip/c.tif``. Options as of the member's kind.
            open_file: Opens the extracted file, as `pipeline.scenes.open_file.open_file`.
            known: What an earlier opening found, to spare examining it again.

        Raises:
            SceneError: The archive or the scene is at fault; names the member.
        """
        archive, name = _split(ref.href)
        self._href = ref.href
        self._key = extract.take(archive, name)
        self._path = str(extract.file_of(self._key, name))
        try:
            inner = SceneRef(kind=kind_of(self._path), href=self._path, options=ref.options)
            self._scene = open_file(inner, known=known)
        except SceneError as error:
            extract.release(self._key)
            raise _renamed(error, self._path, self._href) from error
        except BaseException:
            extract.release(self._key)
            raise
        self._info = replace(self._scene.info, source=ref.href)
        self._open = True

    @property
    def info(self) -> SceneInfo:
        """What is known of the scene."""
        return self._info

    def read(
        self, window: Window, bands: tuple[int, ...]
    ) -> tuple[Shaped[np.ndarray, "bands rows cols"], Bool[np.ndarray, "rows cols"]]:
        """Return pixels of ``window`` and where they are valid, see `Scene.read`.

        Raises:
            SceneError: The pixels cannot be read; names the member.
        """
        try:
            return self._scene.read(window, bands)
        except SceneError as error:
            raise _renamed(error, self._path, self._href) from error

    def close(self) -> None:
        """Give the file back; reading afterwards is an error."""
        self._scene.close()
        if self._open:
            self._open = False
            extract.release(self._key)


_: type[Scene] = ZippedScene
