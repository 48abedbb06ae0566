"""Intervals of time, as STAC writes them."""

from __future__ import annotations

from datetime import datetime


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Return both ends of ``from/to``; None where it is open.

    Raises:
        ValueError: It is no interval, or ends before it begins.
    """
    parts = text.split("/")
    if len(parts) != 2:
        raise ValueError(
            f"{text!r} is no interval; write it as 2024-01-01/.. or 2024-01-01/2024-06-30"
        )
    ends: list[datetime | None] = []
    for at, part in enumerate(parts):
        if part in ("", ".."):
            ends.append(None)
            continue
        whole = part if "T" in part else f"{part}T{'23:59:59' if at else '00:00:00'}+00:00"
        try:
            end = datetime.fromisoformat(whole)
        except ValueError as error:
            raise ValueError(f"{part!r} is no date; write it as 2024-01-01") from error
        if end.tzinfo is None:
            raise ValueError(f"{part!r} has no time zone; write it as 2024-01-01T00:00:00Z")
        ends.append(end)
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        raise ValueError(f"{text!r} ends before it begins")
    return ends[0], ends[1]
