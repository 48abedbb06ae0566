"""What the network is shown."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.models.card import CardSection, Metres

FARTHEST_M = 1e6


class AugmentConfig(CardSection):
    """How far crops are driven from what the camera saw; 0 switches a part off."""

    pixel_size_m: tuple[float, float] | None = (0.09, 0.6)
    """Ground sizes of a pixel that are drawn; without, crops keep their scene's own."""
    typical_pixel_size_m: Metres = 0.16
    """The likeliest of them; the draw is triangular in the logarithm."""
    shape: float = Field(default=0.12, ge=0, lt=0.5)
    """Largest relative change of aspect, and shear."""
    rotate: bool = True
    """Turn by any angle, beside flips and quarter turns."""
    turns: bool = True
    """Turn by quarters where not by any angle; without both, crops stand upright."""
    flips: bool = True
    """Flip left and right."""
    elastic: float = Field(default=0.0, ge=0, le=256)
    """Deviation of the displacements on a coarse grid, in pixels of the crop; 0: stiff."""
    elastic_share: float = Field(default=0.5, ge=0, le=1)
    """How often a crop is deformed so."""
    elastic_nodes: int = Field(default=3, ge=2, le=16)
    """Nodes of that grid along an edge of the crop."""
    degrade: float = Field(default=0.0, ge=0, le=1)
    """How often a crop is seen by a coarser sensor and enlarged again."""
    degrade_m: tuple[float, float] = (0.3, 0.6)
    """Ground sizes of that sensor's pixels."""
    sixteen_bit: float = Field(default=0.0, ge=0, le=1)
    """How often a crop looks like a 16-bit product that was stretched to 8 bits."""
    tone: float = Field(default=0.3, ge=0, lt=1)
    """Largest relative change of brightness, contrast and gamma."""
    colour: float = Field(default=0.15, ge=0, lt=1)
    """Largest relative change of one band against the others."""
    hue: float = Field(default=0.3, ge=0, le=7)
    """Largest turn of the hue, in radians."""
    blur: float = Field(default=0.35, ge=0, le=1)
    """How often a crop is blurred."""
    noise: float = Field(default=0.35, ge=0, le=1)
    """How often sensor noise is added."""
    jpeg: float = Field(default=0.3, ge=0, le=1)
    """How often a crop goes through a lossy JPEG."""
    shadow: float = Field(default=0.2, ge=0, le=1)
    """How often a shadow falls over a crop."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> AugmentConfig:
        for name in ("pixel_size_m", "degrade_m"):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1] <= FARTHEST_M:
                raise ValueError(
                    f"{name} {list(span)} must be two sizes in metres, small to large, at most "
                    f"{FARTHEST_M:g}"
                )
        return self
