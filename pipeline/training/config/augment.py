"""What the network is shown."""

from __future__ import annotations

from pydantic import Field

from pipeline.models.card import Section


class AugmentConfig(Section):
    """How far crops are driven from what the camera saw; 0 switches a part off."""

    pixel_m: tuple[float, float] = (0.09, 0.6)
    """Ground sizes of a pixel that are drawn."""
    usual_pixel_m: float = 0.16
    """The likeliest of them; the draw is triangular in the logarithm."""
    shape: float = Field(default=0.12, ge=0, lt=0.5)
    """Largest relative change of aspect, and shear."""
    rotate: bool = True
    """Turn by any angle, beside flips and quarter turns."""
    tone: float = Field(default=0.3, ge=0, lt=1)
    """Largest relative change of brightness, contrast and gamma."""
    colour: float = Field(default=0.15, ge=0, lt=1)
    """Largest relative change of one band against the others."""
    hue: float = Field(default=0.3, ge=0)
    """Largest turn of the hue, in radians."""
    blur: float = Field(default=0.35, ge=0, le=1)
    """How often a crop is blurred."""
    noise: float = Field(default=0.35, ge=0, le=1)
    """How often sensor noise is added."""
    jpeg: float = Field(default=0.3, ge=0, le=1)
    """How often a crop goes through a lossy JPEG."""
    shadow: float = Field(default=0.2, ge=0, le=1)
    """How often a shadow falls over a crop."""
