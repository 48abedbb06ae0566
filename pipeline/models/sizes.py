"""Sizes of tiles that a network takes."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.models.card import ModelCard


def legal_inputs(*, depth: int = 4, up_to: int = 1024) -> Iterator[int]:
    """Yield the input sizes at which no pooling of the valid U-Net meets an odd size.

    With ``b`` pixels at the bottom after its two convolutions (``b >= 1``), going up
    gives the output and going down the input: 140, 156, 172, ... for depth 4, of which
    those from 188 on leave at least 4 pixels.
    """
    bottom = 1
    while True:
        size = bottom + 4
        for _ in range(depth):
            size = 2 * size + 4
        if size > up_to:
            return
        output = bottom
        for _ in range(depth):
            output = 2 * output - 4
        if output >= 1:
            yield size
        bottom += 1


def remainder(card: ModelCard) -> int:
    """Return what sizes that the network takes leave when divided by its stride.

    0 but for valid convolutions, whose sizes have one remainder: 12 to 16 for four poolings.
    """
    arguments = card.network.arguments
    if arguments.get("padding") != "valid":
        return 0
    depth = arguments.get("depth", 4)
    legal = next(legal_inputs(depth=depth if isinstance(depth, int) else 4))
    return legal % card.network.stride


def trial_sizes(card: ModelCard) -> tuple[tuple[int, int], ...]:
    """Return small sizes, rows and columns, on which two engines can be compared."""
    size, stride = card.network.size, card.network.stride
    if size is not None:
        return ((size, size),)
    if remainder(card) or card.network.arguments.get("padding") == "valid":
        depth = card.network.arguments.get("depth", 4)
        legal = list(legal_inputs(depth=depth if isinstance(depth, int) else 4))
        return (legal[0], legal[1]), (legal[2], legal[0])
    first = max(2, -(-64 // stride)) * stride
    return (first, first + stride), (first + 3 * stride, first)
