"""Scenes that are one file each, opened by their kind."""

from __future__ import annotations

from pipeline.errors import ConfigError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.scene import Scene, SceneInfo, SceneRef


def open_file(ref: SceneRef, *, known: SceneInfo | None = None) -> Scene:
    """Open and examine a scene of one file.

    Args:
        ref: Which scene.
        known: What an earlier opening found; spares a worker examining it again.

    Raises:
        SceneError: It cannot be mapped; names the reason and a way out.
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

            return ZippedScene(ref, open_file, known=known)
        case "segy":
            from pipeline.scenes.seismic.segy import SegyScene

            return SegyScene(ref, known=known)
        case "memory":
            from pipeline.scenes.memory import kept_scene

            return kept_scene(ref)
        case _:
            raise ConfigError(f"no module opens scenes of kind '{ref.kind}'")


def file_fingerprint(ref: SceneRef) -> str:
    """Compute what identifies the content of a file now, as `fingerprint` does.

    Raises:
        SceneError: It cannot be read any more.
    """
    if ref.kind in ("geotiff", "image", "jp2"):
        return content_digest(ref.href)
    if ref.kind == "zipped":
        from pipeline.scenes.archive.scene import member_digest

        return member_digest(ref.href)
    scene = open_file(ref)
    try:
        return scene.info.fingerprint
    finally:
        scene.close()
