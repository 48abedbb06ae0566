"""JSON files of strangers: an element at a time, with faults as messages."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import ConfigError
from pipeline.labels.json_stream import JsonLengthError, JsonSyntaxError, JsonText
from pipeline.labels.limits import Limits
from pipeline.labels.opened import VectorFile
from pipeline.labels.vectors import refusal

Json = Any
"""A JSON value that has not been checked."""
TAKEN = object()
"""Stands for an array whose elements were taken one by one."""
Take = Mapping[str, Callable[[Json], None]]
"""What takes the elements of an array, by its name."""


def read_members(file: VectorFile, take: Take, *, limits: Limits) -> dict[str, Json]:
    """Return the members of a JSON object, without those whose elements are taken one by one.

    A text of several objects, one a line, is a collection of features.

    Raises:
        ConfigError: It is not JSON, not whole, or an element is too long; NaN and Infinity
            are not JSON.
    """
    with file.bytes() as raw, _faults(file.path, limits.hint):
        text = JsonText(
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""),
            constant=_refusing(file.path),
            longest=limits.feature_text,
            blanks=" \t\r\n\x1e",
        )
        found: dict[str, Json] = {}
        for name in text.names():
            if name in take and text.peek() == "[":
                found[name] = TAKEN
                for element in text.elements():
                    take[name](element)
            else:
                found[name] = text.value()
        if not text.peek():
            return found
        if TAKEN in found.values():
            raise refusal(file.path, "it holds several collections", "write them as one")
        take["features"](found)
        while text.peek():
            take["features"](text.value())
        return {"type": "FeatureCollection", "features": TAKEN}


def load_json(path: Path, *, most_bytes: int = 2**26) -> Json:
    """Return the JSON value of a small file.

    Raises:
        ConfigError: It is not JSON, not whole, or too large; NaN and Infinity are not JSON.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise refusal(path, f"it has {size:,} bytes; the limit is {most_bytes:,}", "name another")
    with _faults(path, "name another"):
        text = path.read_bytes().decode("utf-8-sig")
        try:
            return json.loads(text, parse_constant=_refusing(path))
        except json.JSONDecodeError as error:
            raise JsonSyntaxError(error.msg, error.lineno, error.colno) from error


def _refusing(path: Path) -> Callable[[str], NoReturn]:
    def refuse(word: str) -> NoReturn:
        raise ConfigError(f"{path}: it holds {word}, which is not JSON; export it again without")

    return refuse


@contextmanager
def _faults(path: Path, hint: str) -> Iterator[None]:
    """Turn the faults of a JSON text into errors that name the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise refusal(path, "it is not UTF-8 text", "export it again") from error
    except JsonSyntaxError as error:
        reason = (
            f"it is damaged or cut off at line {error.line}, column {error.column} ({error.fault})"
        )
        raise refusal(path, reason, "export it again") from error
    except JsonLengthError as error:
        raise refusal(path, f"it is too large to decode: {error}", hint) from error
    except RecursionError as error:
        raise refusal(path, "it is nested too deeply", "export it again") from error
    except ValueError as error:  # whole numbers of thousands of digits
        raise refusal(path, f"it holds no usable JSON ({error})", "export it again") from error
