"""Outlines through the places where the probability surface crosses its level.

Marching squares over the pixels' centres, ring by ring: an outline's vertices are the
crossings at its pixel edges, and it runs straight from one to the next::

    +-----+-----+       at each corner of the staircase the chord between two crossings
    |  in o     |       stays within the square of the four centres around it, so that
    +--o--+-----+       rings never cross, and a ring holds the same pixels' centres
    |     |     |

Two outlines share the crossings of the pixel edges that they share, and so their walls.
Where walls of three meet (background counts), the corner itself is a vertex of all, or a
gap would be left there. On the scene's frame the last edge goes on as it is.

A polygon that may come out too unlike its pixels is *plain*: it keeps to their edges, and so
do its neighbours where they share one with it. Which are plain follows from each one's own
ring, by the worst that its neighbours can make of it, so that an outline depends on nothing
but itself and what touches it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.core.compiled import compiled
from pipeline.core.outlines.corners import Float64
from pipeline.core.outlines.touching import Int64, Polygons
from pipeline.core.polygons.subpixel_offsets import UNIT, EdgeOffsets
from pipeline.core.window import Window

Flags = npt.NDArray[np.bool_]

HALF = UNIT // 2
X, Y, AXIS, SHIFT, COL, ROW = range(6)
"""Columns of a pixel's edge: its upper or left end; 0 where it is vertical, 1 where not; its
shift; the corner where its ring enters it."""


class EdgeOffsetStrip:
    """The shifts of a scene's pixel edges, as far as tiles have come in; 0 where none is known."""

    def __init__(self) -> None:
        """Shift nothing."""
        self._parts: list[tuple[Window, EdgeOffsets]] = []

    def __len__(self) -> int:
        """Return the number of windows in memory: five bytes for each of their shifts."""
        return len(self._parts)

    def add(self, window: Window, rim: EdgeOffsets) -> None:
        """Take the shifts of a core in."""
        if len(rim.edges):
            self._parts.append((window, rim))

    def forget(self, *, above: float) -> None:
        """Let go of windows that end at this row or above."""
        self._parts = [part for part in self._parts if part[0].bottom > above]

    def at(self, x: Int64, y: Int64, axis: Int64) -> Int64:
        """Return the shifts of edges, by their upper or left ends; axis 0: they are vertical."""
        shifts = np.zeros(len(x), np.int64)
        for window, rim in self._parts:
            inside = (x >= window.col) & (x < window.right) & (y >= window.row)
            found = np.flatnonzero(inside & (y < window.bottom))
            place = (y[found] - window.row) * window.width + x[found] - window.col
            edge = 2 * place + axis[found]
            at = np.minimum(np.searchsorted(rim.edges, edge), len(rim.edges) - 1)
            shifts[found] = np.where(rim.edges[at] == edge, rim.shifts[at], 0)
        return shifts


def subpixel(
    outlines: Polygons, rims: EdgeOffsetStrip, *, size: tuple[int, int], least_iou: float
) -> Polygons:
    """Return the outlines drawn through the crossings, or along the pixels where those fail.

    Each is valid, shares at least ``least_iou`` with its pixels and holds the centres of
    the same ones; none overlaps another, and where two share a wall they have the same
    vertices. One is right if all that touch it are among the outlines.

    Args:
        outlines: Along pixel edges; they do not overlap.
        rims: Of the scene.
        size: Height and width of the scene.
        least_iou: Least intersection over union with the pixels.
    """
    if not len(outlines):
        return np.array(outlines, object)
    _, vertices, (narrow, narrow_parts) = shapely.to_ragged_array(outlines)
    coords = np.rint(vertices[:, :2]).astype(np.int64)
    rings, parts = narrow.astype(np.int64), narrow_parts.astype(np.int64)
    edges, offsets = _edges(coords, rings)
    edges[:, SHIFT] = rims.at(edges[:, X], edges[:, Y], edges[:, AXIS])
    height, width = size

    lost, gained = np.add.reduceat(_worst(edges, offsets, (width, height)), parts[:-1]).T
    areas = shapely.area(outlines)
    like = (areas - lost) / (areas + gained)
    owners = np.repeat(np.arange(len(outlines)), np.diff(offsets[parts]))
    number, count = _numbered(edges, width)
    plain = np.zeros(len(count), bool)
    plain[number[(like < least_iou)[owners]]] = True
    joined = _junctions(edges, offsets, count[number] > 1, width)
    made, ends = _drawn(edges, offsets, plain[number], joined, (width, height))
    shapes: Polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, made / UNIT, (ends, parts)
    )
    return shapes


def _numbered(edges: Int64, width: int) -> tuple[Int64, Int64]:
    """Return a number for each edge, the same from both of its sides, and how many sides it has."""
    keys = 2 * (edges[:, Y] * (width + 1) + edges[:, X]) + edges[:, AXIS]
    _, number, count = np.unique(keys, return_inverse=True, return_counts=True)
    return number.astype(np.int64), count.astype(np.int64)


def _junctions(edges: Int64, offsets: Int64, shared: Flags, width: int) -> Flags:
    """Return for each edge whether boundaries of three or more polygons meet at its start."""
    corner = edges[:, ROW] * (width + 1) + edges[:, COL]
    # A shared edge is there from both sides; each side sees one of its ends first.
    ends = np.concatenate([corner, _next(corner, offsets)])
    _, place = np.unique(ends, return_inverse=True)
    weights = np.tile(np.where(shared, 0.5, 1.0), 2)
    degree = np.bincount(place, weights)
    walls = np.bincount(place, np.tile(shared, 2))
    return np.asarray(((degree > 2) & (walls > 0))[place[: len(edges)]])


def _next(values: Int64, offsets: Int64) -> Int64:
    """Return of each edge the value of the one that follows it round its ring."""
    turned = np.roll(values, -1)
    turned[offsets[1:] - 1] = values[offsets[:-1]]
    return turned


@compiled
def _edges(coords: Int64, rings: Int64) -> tuple[Int64, Int64]:
    """Return the unit edges of all rings, in order, and the rings' offsets into them."""
    offsets = np.zeros(len(rings), np.int64)
    for ring in range(len(rings) - 1):
        total = 0
        for vertex in range(rings[ring], rings[ring + 1] - 1):
            total += abs(coords[vertex + 1, 0] - coords[vertex, 0])
            total += abs(coords[vertex + 1, 1] - coords[vertex, 1])
        offsets[ring + 1] = offsets[ring] + total
    edges = np.zeros((offsets[-1], 6), np.int64)
    used = 0
    for ring in range(len(rings) - 1):
        for vertex in range(rings[ring], rings[ring + 1] - 1):
            x, y = coords[vertex]
            dx = np.sign(coords[vertex + 1, 0] - x)
            dy = np.sign(coords[vertex + 1, 1] - y)
            while x != coords[vertex + 1, 0] or y != coords[vertex + 1, 1]:
                edges[used, X] = min(x, x + dx)
                edges[used, Y] = min(y, y + dy)
                edges[used, AXIS] = 0 if dx == 0 else 1
                edges[used, COL] = x
                edges[used, ROW] = y
                used += 1
                x += dx
                y += dy
    return edges, offsets


@compiled
def _worst(edges: Int64, offsets: Int64, size: tuple[int, int]) -> Float64:
    """Return the areas that each ring's polygon loses and gains at most: (rings, 2), in pixels.

    At each corner, from one edge's middle to the next one's, that is the most of the two
    ways there are: the chord, or over the corner itself, which is there where an edge of
    it keeps its place or walls of three meet.
    """
    areas = np.zeros((len(offsets) - 1, 2))
    for ring in range(len(areas)):
        before = offsets[ring + 1] - 1
        one, dx, dy = _outward(edges, before, offsets, ring)
        for edge in range(offsets[ring], offsets[ring + 1]):
            x, y = edges[edge, COL], edges[edge, ROW]
            two, ex, ey = _outward(edges, edge, offsets, ring)
            lost = (max(-one, 0.0) + max(-two, 0.0)) / 4
            gained = (max(one, 0.0) + max(two, 0.0)) / 4
            if x == 0 or y == 0 or x == size[0] or y == size[1]:
                # The corner is moved along the frame, with the edge.
                lost, gained = 2 * lost, 2 * gained
            else:
                chord = _chord(one, two, dx * ey - dy * ex)
                lost, gained = max(lost, chord[0]), max(gained, chord[1])
            areas[ring, 0] += lost
            areas[ring, 1] += gained
            one, dx, dy = two, ex, ey
    return areas


@compiled
def _outward(edges: Int64, edge: int, offsets: Int64, ring: int) -> tuple[float, int, int]:
    """Return how far an edge is shifted out of its polygon, in pixels, and where it leads.

    Polygons lie to the right of their rings, seen with y downwards.
    """
    after = edge + 1 if edge + 1 < offsets[ring + 1] else offsets[ring]
    dx = edges[after, COL] - edges[edge, COL]
    dy = edges[after, ROW] - edges[edge, ROW]
    shift = edges[edge, SHIFT] / UNIT
    return (-dx if edges[edge, AXIS] == 1 else dy) * shift, dx, dy


@compiled
def _chord(one: float, two: float, turn: int) -> tuple[float, float]:
    """Return the areas lost and gained by the chord between the crossings of two edges.

    Args:
        one: How far out the crossing of the first edge lies, from its middle.
        two: That of the second.
        turn: 1 where the corner sticks out, -1 where it is one of the ground outside, 0
            where the edges go straight on.
    """
    if turn == 0:
        net = (one + two) / 2
        if one * two >= 0:
            return max(-net, 0.0), max(net, 0.0)
        high, low = max(one, two), -min(one, two)
        return low**2 / (high + low) / 2, high**2 / (high + low) / 2
    # Of the square of four centres around a corner that sticks out, the chord leaves the
    # polygon a triangle, its right angle in the pixel's centre. Shifts are less than a half,
    # so the corner itself lies beyond the chord.
    a, b = (one, two) if turn > 0 else (-one, -two)
    triangle = (a + 0.5) * (b + 0.5) / 2
    over = triangle * ((max(a, 0.0) / (a + 0.5)) ** 2 + (max(b, 0.0) / (b + 0.5)) ** 2)
    under = 0.25 - (triangle - over)
    return (under, over) if turn > 0 else (over, under)


@compiled
def _drawn(
    edges: Int64, offsets: Int64, plain: Flags, joined: Flags, size: tuple[int, int]
) -> tuple[Int64, Int64]:
    """Return the rings' vertices in 256ths of a pixel, closed, and their offsets.

    Args:
        edges: All rings' edges.
        offsets: The rings' ones.
        plain: Edges that keep their place.
        joined: Edges that a ring enters where walls of three meet.
        size: Width and height of the scene.
    """
    made = np.empty((2 * len(edges) + len(offsets), 2), np.int64)
    ends = np.zeros(len(offsets), np.int64)
    full = np.empty((2 * len(edges), 2), np.int64)
    stays = np.empty(2 * len(edges), np.bool_)
    used = 0
    for ring in range(len(offsets) - 1):
        count = 0
        before = offsets[ring + 1] - 1
        for edge in range(offsets[ring], offsets[ring + 1]):
            x, y = edges[edge, COL], edges[edge, ROW]
            on_frame = x == 0 or y == 0 or x == size[0] or y == size[1]
            if joined[edge] or plain[before] or plain[edge] or on_frame:
                full[count, 0] = UNIT * x
                full[count, 1] = UNIT * y
                if on_frame:
                    _slid(full[count], edges, plain, (before, edge), (x % size[0], y % size[1]))
                stays[count] = joined[edge]
                count += 1
            shift = 0 if plain[edge] else edges[edge, SHIFT]
            level = edges[edge, AXIS] == 1
            full[count, 0] = UNIT * edges[edge, X] + (HALF if level else shift)
            full[count, 1] = UNIT * edges[edge, Y] + (shift if level else HALF)
            stays[count] = False
            count += 1
            before = edge
        begin = used
        for vertex in range(count):
            back, ahead = full[vertex - 1 if vertex else count - 1], full[(vertex + 1) % count]
            x, y = full[vertex]
            # Both sides of a wall see the same vertices before and after, so both drop it.
            cross = (x - back[0]) * (ahead[1] - y) - (y - back[1]) * (ahead[0] - x)
            if stays[vertex] or cross != 0:
                made[used, 0] = x
                made[used, 1] = y
                used += 1
        made[used] = made[begin]
        used += 1
        ends[ring + 1] = used
    return made[:used].copy(), ends


@compiled
def _slid(
    corner: Int64, edges: Int64, plain: Flags, beside: tuple[int, int], off: tuple[int, int]
) -> None:
    """Move a corner along the frame as far as the edge that meets it there is shifted.

    Args:
        corner: In 256ths of a pixel; moved.
        edges: All of them.
        plain: Edges that keep their place.
        beside: The edges before and after the corner.
        off: 0 where the corner is on the frame's left or right, its top or bottom.
    """
    for edge in beside:
        if plain[edge]:
            continue
        if off[0] == 0 and edges[edge, AXIS] == 1:
            corner[1] += edges[edge, SHIFT]
        if off[1] == 0 and edges[edge, AXIS] == 0:
            corner[0] += edges[edge, SHIFT]
