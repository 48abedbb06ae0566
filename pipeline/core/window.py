"""Rectangles of pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Window:
    """A rectangle of pixels; it may reach past the scene it is a window of."""

    row: int
    """First row; negative where the window starts above the scene."""
    col: int
    """First column; negative where the window starts left of the scene."""
    height: int
    """Rows, at least 1."""
    width: int
    """Columns, at least 1."""

    @property
    def bottom(self) -> int:
        """The row after the last one."""
        return self.row + self.height

    @property
    def right(self) -> int:
        """The column after the last one."""
        return self.col + self.width

    @property
    def pixels(self) -> int:
        """Rows times columns."""
        return self.height * self.width

    def grown(self, margin: int) -> Window:
        """Return the window with ``margin`` pixels more on every side."""
        return Window(
            row=self.row - margin,
            col=self.col - margin,
            height=self.height + 2 * margin,
            width=self.width + 2 * margin,
        )

    def clipped(self, *, height: int, width: int) -> Window:
        """Return the part inside a scene of ``height`` x ``width`` pixels.

        Raises:
            ValueError: The window lies wholly outside.
        """
        row, col = max(self.row, 0), max(self.col, 0)
        bottom, right = min(self.bottom, height), min(self.right, width)
        if bottom <= row or right <= col:
            raise ValueError(f"{self} lies outside a scene of {height} x {width} pixels")
        return Window(row=row, col=col, height=bottom - row, width=right - col)

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Return this window as slices of an array that holds ``outer``.

        Raises:
            ValueError: ``outer`` does not contain this window.
        """
        top, left = self.row - outer.row, self.col - outer.col
        if top < 0 or left < 0 or self.bottom > outer.bottom or self.right > outer.right:
            raise ValueError(f"{self} is not inside {outer}")
        return slice(top, top + self.height), slice(left, left + self.width)
