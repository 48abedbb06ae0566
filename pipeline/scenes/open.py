"""The only door to pixels: a reference goes in, an open scene comes out."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef


def open_scene(ref: SceneRef, *, known: SceneInfo | None = None) -> Scene:
    """Return an open scene, examined.

    Args:
        ref: Which scene.
        known: What an earlier opening found; spares a worker examining it again.

    Raises:
        SceneError: It cannot be mapped; says why and what to do.
        ConfigError: No module opens this kind of scene.
    """
    match ref.kind:
        case "geotiff":
            from pipeline.scenes.geotiff.geotiff import GeoTiffScene

            return GeoTiffScene(ref, known=known)
        case "image":
            from pipeline.scenes.image import ImageScene

            return ImageScene(ref, known=known)
        case "jp2":
            from pipeline.scenes.jp2.scene import Jp2Scene

            return Jp2Scene(ref, known=known)
        case "zipped":
            from pipeline.scenes.archive.scene import ZippedScene

            return ZippedScene(ref, known=known)
        case "segy":
            from pipeline.scenes.seismic.segy import SegyScene

            return SegyScene(ref, known=known)
        case "mosaic":
            from pipeline.scenes.mosaics.mosaic import MosaicScene

            return MosaicScene(ref, known=known)
        case "stack":
            from pipeline.scenes.mosaics.stack import StackScene

            return StackScene(ref, [open_scene(one) for one in ref.stack], known=known)
        case "memory":
            from pipeline.scenes.memory import recall

            return recall(ref)
        case _:
            raise ConfigError(f"no module opens scenes of kind '{ref.kind}'")


def fingerprint(ref: SceneRef) -> str:
    """Return what identifies a scene's content now; equal to `SceneInfo.fingerprint` if unchanged.

    Raises:
        SceneError: It cannot be read any more.
    """
    if ref.kind in ("geotiff", "image", "jp2"):
        return content_digest(ref.href)
    if ref.kind == "zipped":
        from pipeline.scenes.archive.scene import member_digest

        return member_digest(ref.href)
    if ref.mosaic is not None:
        from pipeline.scenes.mosaics.mosaic import mosaic_fingerprint

        return mosaic_fingerprint(ref.mosaic)
    if ref.stack:
        from pipeline.scenes.mosaics.stack import stack_fingerprint

        return stack_fingerprint([fingerprint(one) for one in ref.stack])
    scene = open_scene(ref)
    try:
        return scene.info.fingerprint
    finally:
        scene.close()
