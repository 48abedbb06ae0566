"""Large JSON files, a piece at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

_CHUNK = 1 << 20
_MARKS = {*" \t\r\n,]}"}


def members(path: Path, array: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of the object in ``path``; those of ``array`` one element each.

    Memory is bounded by the largest element, wherever ``array`` stands in the file.
    An empty array yields ``(array, None)``, so that it is told from a missing one.

    Raises:
        ValueError: The file is not one JSON object in UTF-8, or holds NaN or Infinity.
    """
    with path.open(encoding="utf-8") as file:
        text = _Text(file)
        text.expect("{")
        if text.peek() == "}":
            text.expect("}")
        else:
            while True:
                key = text.value()
                if not isinstance(key, str):
                    raise ValueError(f"the name of a member is {key!r}, not text")
                text.expect(":")
                if key == array and text.peek() == "[":
                    for element in text.elements():
                        yield key, element
                else:
                    yield key, text.value()
                if text.one_of(",}") == "}":
                    break
        if text.peek():
            raise ValueError("text goes on after the end of the JSON object")


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or holds NaN or Infinity, which JSON has not.
    """
    return json.loads(text, parse_constant=_refuse)


class _Text:
    """Reads JSON values off a file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder(parse_constant=_refuse)

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_CHUNK):
                return ""

    def one_of(self, characters: str) -> str:
        """Take the next character, one of ``characters``."""
        found = self.peek()
        if not found or found not in characters:
            wanted = " or ".join(characters)
            raise ValueError(f"{wanted} expected, {found or 'end of file'} found: cut short?")
        self._at += 1
        return found

    def expect(self, character: str) -> None:
        """Take ``character``."""
        self.one_of(character)

    def value(self) -> Any:
        """Take a value of any kind."""
        self.peek()
        grab = _CHUNK
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # What is merely not read to its end fails near the end, or in an open string.
                wrong = error.pos < len(self._text) - 16 and "Unterminated" not in error.msg
                if wrong or not self._more(grab):
                    raise ValueError(f"not JSON: {error.msg}; cut short?") from error
                grab *= 2
                continue
            # A number that is not followed by a mark may go on in what is not read yet.
            whole = not isinstance(found, int | float) or self._text[end : end + 1] in _MARKS
            if whole or not self._more(grab):
                self._at = end
                return found

    def elements(self) -> Iterator[Any]:
        """Take an array, element by element."""
        self.expect("[")
        if self.peek() == "]":
            self.expect("]")
            yield None
            return
        while True:
            yield self.value()
            if self.one_of(",]") == "]":
                return

    def _more(self, size: int) -> bool:
        chunk = self._file.read(size)
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return bool(chunk)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
