"""Acquisition time of a scene, from its tags or name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_TAGS = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "TIFFTAG_DATETIME")
_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_]?(\d\d)[-_]?(\d\d)(?:[T_-]?(\d\d)[-_:]?(\d\d)[-_:]?(\d\d))?(?!\d)"
)


def rfc3339(text: str) -> str | None:
    """Return a time written in one of the usual ways as RFC 3339 in UTC, or None.

    A time without a zone counts as UTC; a date alone is its midnight.
    """
    plain = text.strip()
    # TIFF writes 2024:05:17 10:30:00
    plain = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", plain)
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _written(moment)


def _written(moment: datetime) -> str | None:
    offset = moment.utcoffset() or timedelta()
    try:
        moment = (moment - offset).replace(tzinfo=UTC)
    except OverflowError:
        return None
    return moment.isoformat().replace("+00:00", "Z") if 1900 <= moment.year <= 2200 else None


def from_name(name: str) -> str | None:
    """Return the date (and time) in a file name: ``..._20240517T103000...``, ``2024-05-17``."""
    for match in _IN_NAME.finditer(name):
        numbers = [int(part) for part in match.groups() if part]
        try:
            return _written(datetime(*numbers, tzinfo=UTC))  # type: ignore[arg-type, misc]
        except ValueError:
            continue
    return None


def acquisition_time(*, option: str, tags: Mapping[str, str], name: str) -> str | None:
    """Return when a scene was taken: by option, else tag, else file name."""
    for text in (option, *(tags.get(tag, "") for tag in _TAGS)):
        if text and (moment := rfc3339(text)):
            return moment
    return from_name(name)
