"""Values that several tests draw."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from pipeline.core.georef import Georef
from pipeline.core.grid import Sampling, TileGrid
from pipeline.core.window import Window

_TIMES = float(os.environ.get("OVERTILE_EXAMPLES", "1"))


def examples(count: int) -> int:
    """Return how many examples a law draws: ``count``, times OVERTILE_EXAMPLES."""
    return max(1, round(count * _TIMES))


@st.composite
def windows(draw: st.DrawFn, *, reach: int = 200, longest: int = 60) -> Window:
    """Windows that lie inside, across or far past a scene's edges."""
    return Window(
        row=draw(st.integers(-reach, reach)),
        col=draw(st.integers(-reach, reach)),
        height=draw(st.integers(1, longest)),
        width=draw(st.integers(1, longest)),
    )


@st.composite
def samplings(draw: st.DrawFn, *, longest: int = 150) -> Sampling:
    """The scene's grid and the network's, up to three times coarser or finer."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    if draw(st.booleans()):
        return Sampling(height=height, width=width, net_height=height, net_width=width)
    scale = draw(st.floats(1 / 3, 3))
    return Sampling(
        height=height,
        width=width,
        net_height=max(1, round(height * scale)),
        net_width=max(1, round(width * scale)),
    )


@st.composite
def grids(draw: st.DrawFn, *, identity: bool = False) -> TileGrid:
    """Tile grids of any stride; cores of at least 8 pixels."""
    stride = draw(st.sampled_from([1, 2, 4, 8, 16]))
    sampling = draw(samplings())
    if identity:
        height, width = sampling.height, sampling.width
        sampling = Sampling(height=height, width=width, net_height=height, net_width=width)
    return TileGrid(
        sampling=sampling,
        core=stride * draw(st.integers(-(-8 // stride), max(2, 64 // stride))),
        halo=stride * draw(st.integers(0, max(1, 32 // stride))),
        stride=stride,
    )


@st.composite
def transforms(draw: st.DrawFn) -> tuple[float, float, float, float, float, float]:
    """Affine transforms: turned, sheared, mirrored, with pixels that are not square."""
    sizes = st.floats(0.1, 30).map(lambda size: round(size, 3))
    signs = st.sampled_from([-1.0, 1.0])
    along, down = draw(sizes) * draw(signs), draw(sizes) * draw(signs)
    lean = st.floats(-0.7, 0.7)
    origin = st.floats(-5e6, 5e6)
    return (along, along * draw(lean), draw(origin), down * draw(lean), down, draw(origin))


@st.composite
def georefs(draw: st.DrawFn, crs_wkt: str = "") -> Georef:
    """Grids on the Earth."""
    return Georef(crs_wkt=crs_wkt, transform=draw(transforms()))
