"""The entry point to pixels: opens the scene of a reference, of one file or of many."""

from __future__ import annotations

from pipeline.scenes.open_file import file_fingerprint, open_file
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef


def open_scene(ref: SceneRef, *, known: SceneInfo | None = None) -> Scene:
    """Open and examine a scene.

    Args:
        ref: Which scene.
        known: What an earlier opening found; spares a worker examining it again.

    Raises:
        SceneError: It cannot be mapped; names the reason and a way out.
        ConfigError: No module opens this kind of scene.
    """
    if ref.mosaic is not None:
        from pipeline.scenes.mosaics.mosaic import MosaicScene

        return MosaicScene(ref, known=known)
    if ref.stack:
        from pipeline.scenes.mosaics.stack import StackScene

        return StackScene(ref, [open_scene(one) for one in ref.stack], known=known)
    return open_file(ref, known=known)


def fingerprint(ref: SceneRef) -> str:
    """Return what identifies a scene's content now; equal to `SceneInfo.fingerprint` if unchanged.

    Raises:
        SceneError: It cannot be read any more.
    """
    if ref.mosaic is not None:
        from pipeline.scenes.mosaics.mosaic import mosaic_fingerprint

        return mosaic_fingerprint(ref.mosaic)
    if ref.stack:
        from pipeline.scenes.mosaics.stack import stack_fingerprint

        return stack_fingerprint([fingerprint(one) for one in ref.stack])
    return file_fingerprint(ref)
