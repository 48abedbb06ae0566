"""Large JSON files, a piece at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
        text = JsonText(file)
        for key in text.names():
            if key != array or text.peek() != "[":
                yield key, text.value()
                continue
            empty = True
            for element in text.elements():
                empty = False
                yield key, element
            if empty:
                yield key, None
        if text.peek():
            raise ValueError("text goes on after the end of the JSON object")


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or holds NaN or Infinity, which JSON has not.
    """
    return json.loads(text, parse_constant=_refuse)


class JsonSyntaxError(ValueError):
    """What is read is not JSON, or not whole.

    Args:
        fault: What is wrong.
        line: Where, from 1.
        column: Where in the line, from 1.
    """

    def __init__(self, fault: str, line: int, column: int) -> None:
        super().__init__(fault, line, column)
        self.fault, self.line, self.column = fault, line, column

    def __str__(self) -> str:
        """Return what is wrong."""
        return f"not JSON: {self.fault}; cut short?"


class JsonLengthError(ValueError):
    """A value is longer than the limit."""


class JsonText:
    """JSON values read off a file, one after the other."""

    def __init__(
        self,
        file: TextIO,
        *,
        constant: Callable[[str], NoReturn] | None = None,
        longest: int | None = None,
        blanks: str = " \t\r\n",
    ) -> None:
        """Read the values of a file.

        Args:
            file: UTF-8 text.
            constant: Called with NaN or Infinity; None for a ValueError.
            longest: Most characters of one value; None for no limit.
            blanks: Characters between values.
        """
        self._file = file
        self._text = ""
        self._at = 0
        self._lines = 0
        self._columns = 0
        self._longest = longest
        self._blanks = blanks
        self._decoder = json.JSONDecoder(parse_constant=constant or _refuse)

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of what is read next, both from 1."""
        return self._place(self._at)

    def names(self) -> Iterator[str]:
        """Take an object: yield each member's name, after which its value is to be taken."""
        self.expect("{")
        if self.peek() == "}":
            self.expect("}")
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise ValueError(f"the name of a member is {key!r}, not text")
            self.expect(":")
            yield key
            if self.one_of(",}") == "}":
                return

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in self._blanks:
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
            fault = f"{wanted} expected, {found or 'end of file'} found"
            raise JsonSyntaxError(fault, *self._place(self._at))
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
                if wrong or not self._more_of_value(grab):
                    line, column = self._place(error.pos)
                    raise JsonSyntaxError(error.msg, line, column) from error
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
            return
        while True:
            yield self.value()
            if self.one_of(",]") == "]":
                return

    def _more_of_value(self, size: int) -> bool:
        if self._longest is not None and len(self._text) - self._at > self._longest:
            raise JsonLengthError(f"one value has more than {self._longest:,} characters")
        return self._more(size)

    def _more(self, size: int) -> bool:
        chunk = self._file.read(size)
        line, column = self._place(self._at)
        self._lines, self._columns = line - 1, column - 1
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def _place(self, at: int) -> tuple[int, int]:
        lines = self._text.count("\n", 0, at)
        start = self._text.rfind("\n", 0, at)
        column = at - start if lines else self._columns + at + 1
        return self._lines + lines + 1, column


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
