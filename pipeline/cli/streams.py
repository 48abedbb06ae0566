"""What a command prints: JSON on standard output, all else on standard error, no credentials."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from pipeline.core.redaction import passwords_of, redact, redact_values

_SECRET = re.compile(
    r"(?i).*(password|passwd|secret|token|userpwd|bearer|connection_string|access_key(_id)?"
    r"|account_key|api_?key|http_headers|shared_key|sas)"
)
_LEAST = 6
"""Shorter values of the environment are hidden by what stands around them alone."""


def print_json(value: Any, *, ensure_ascii: bool = False) -> None:
    """Print a command's result."""
    shown = redact_values(value, secrets=environment_secrets(os.environ))
    text = json.dumps(shown, indent=2, ensure_ascii=ensure_ascii)
    sys.stdout.write(text + "\n")


def print_lines(lines: Iterator[str]) -> None:
    """Print lines for people to standard output."""
    secrets = environment_secrets(os.environ)
    sys.stdout.writelines(f"{printable(redact(line, secrets=secrets))}\n" for line in lines)


def printable(line: str) -> str:
    """Return a line in which what a terminal would obey is spelled out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)


def environment_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the credentials among environment variables: by their names, and in URLs."""
    found: dict[str, None] = {}
    for name, value in environment.items():
        if _SECRET.fullmatch(name):
            found[value] = None
        else:
            found.update(dict.fromkeys(passwords_of(value)))
    return tuple(value for value in found if len(value) >= _LEAST and not os.path.exists(value))  # noqa: PTH110 - any text


class RedactedStream(io.TextIOBase):
    """A text stream that redacts whole lines before it passes them on."""

    def __init__(self, stream: io.TextIOBase | TextIO, secrets: tuple[str, ...] = ()) -> None:
        """Write to ``stream``; values known as secret are hidden wherever they stand."""
        self._stream, self._secrets = stream, secrets
        self._held = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Pass on the lines that are complete; the rest waits for its end, or for `flush`."""
        with self._lock:
            self._held += text
            end = max(self._held.rfind("\n"), self._held.rfind("\r")) + 1
            if end:
                lines, self._held = self._held[:end], self._held[end:]
                self._stream.write(redact(lines, secrets=self._secrets))
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        with self._lock:
            held, self._held = self._held, ""
            if held:
                self._stream.write(redact(held, secrets=self._secrets))
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file behind it, for what writes there directly."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """Its encoding."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What becomes of characters that it cannot encode."""
        return self._stream.errors


@contextmanager
def redacted_stderr() -> Iterator[None]:
    """Redact what is written to standard error: messages, warnings, logs and tracebacks."""
    if isinstance(sys.stderr, RedactedStream):
        yield
        return
    before = sys.stderr
    sys.stderr = RedactedStream(before, environment_secrets(os.environ))
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
