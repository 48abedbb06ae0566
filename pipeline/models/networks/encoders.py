"""Encoders by the names under which their libraries register them, and by no other."""

from __future__ import annotations

from functools import lru_cache

from pipeline.models.arguments import shortened

OWN = "mobilenet_v2"
"""The one that is built here where it can be, without the libraries' long imports."""
TIMM = "tu-"
"""What segmentation_models_pytorch puts before the name of an encoder of timm's."""


def check_encoder(name: object) -> None:
    """Refuse what is no registered encoder.

    Both libraries take more than names: timm opens folders (``local-dir:``) and asks a hub
    (``hf-hub:``), and segmentation_models_pytorch rewrites names that begin with ``timm-``.

    Raises:
        ValueError: No encoder is registered under exactly this name.
    """
    if name == OWN or (isinstance(name, str) and name in registered()):
        return
    raise ValueError(
        f"no encoder is called {shortened(name)}; there are those of "
        f"segmentation_models_pytorch, such "
        "as resnet34, and those of timm after tu-, such as tu-convnext_tiny"
    )


@lru_cache(maxsize=1)
def registered() -> frozenset[str]:
    """Return the names of all encoders that are installed, timm's with each tag of weights too."""
    import timm
    from segmentation_models_pytorch.encoders import encoders

    others = {*timm.list_models(), *timm.list_models(pretrained=True)}
    return frozenset(encoders) | {TIMM + name for name in others}
