"""The child's side of a call: read it, run it, answer."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline import errors

_CHECK_S = 1.0
_GRACE_S = 20.0
"""The call has so long to stop in order once its caller has ended."""
Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that was read from standard input."""

    function: str
    """Name in `pipeline.api.child_process.functions`."""
    arguments: dict[str, Any]
    """JSON values."""


def read_call() -> Call:
    """Read one call from standard input, and end this process when its caller ends.

    Standard input is /dev/null afterwards, for this process and those that it starts.
    """
    source = os.dup(0)
    with open(os.devnull, "rb") as null:  # noqa: PTH123 - no file
        os.dup2(null.fileno(), 0)
    text = b""
    while not text.endswith(b"\n"):
        data = os.read(source, 65536)
        if not data:
            sys.exit(2)
        text += data
    request = json.loads(text)
    watch = threading.Thread(target=_watch, args=(source, request["parent"]), daemon=True)
    watch.start()
    # Whatever the caller ignores, an interrupt comes from it alone.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return Call(function=request["function"], arguments=request["arguments"])


def run_call(call: Call, *, report: Callable[[str], None]) -> Any:
    """Run a call and return its value."""
    from pipeline.api.child_process import functions

    return functions.FUNCTIONS[call.function](report=report, **call.arguments)


def write_answer(descriptor: int, answer: dict[str, Any]) -> None:
    """Write the result, unless its reader has closed."""
    data = json.dumps(answer).encode()
    with suppress(BrokenPipeError):
        while data:
            data = data[os.write(descriptor, data) :]


def described(error: BaseException, *, redact: Redact) -> dict[str, Any]:
    """Describe an error by its class in `pipeline.errors` and its arguments, without secrets."""
    for kind in type(error).__mro__:
        if getattr(errors, kind.__name__, None) is kind:
            own = kind is type(error)
            given = error.args if own else (str(error),)
            return {"type": kind.__name__, "arguments": [redact(str(one)) for one in given]}
    text = "".join(traceback.format_exception(error))
    return {"type": type(error).__name__, "traceback": redact(text)}


def _watch(source: int, parent: int) -> None:
    """Stop this process in order when its parent has ended, then at once."""
    while os.getppid() == parent:
        ready, _, _ = select.select([source], [], [], _CHECK_S)
        if ready and not os.read(source, 4096):
            break
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(0, signal.SIGKILL)
