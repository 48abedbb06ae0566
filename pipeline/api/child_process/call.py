"""Call a function in a child process: ``python -m pipeline --call``.

GDAL's list of allowed drivers holds for a whole process, so whatever opens files with GDAL under
it runs in a child, and the caller's own drivers stay as they are. The child is a fresh
interpreter, not a fork: this works in Jupyter, in scripts without ``if __name__ ...`` and beside
threads.

::

    caller                                child
      | stdin: one JSON line, then open     | runs the call; ends when stdin is closed
      | <--- stdout, stderr: progress lines |
      | <--- descriptor N: one JSON answer  |
      | SIGINT at KeyboardInterrupt ------> | stops in order; at the second at once
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pipeline
from pipeline import errors
from pipeline.api.progress import Progress, Report, reporter
from pipeline.errors import ConfigError, PipelineError

FLAG = "--call"
_POLL_S = 0.2
_KILL_S = 5.0
"""After a second interrupt the child has so long to end by itself."""


def call(function: str, arguments: Mapping[str, Any], *, progress: Progress = None) -> Any:
    """Call one of the functions in `functions` in a child process, and return its value.

    Args:
        function: Its name.
        arguments: JSON values.
        progress: Takes the lines that it reports.

    Raises:
        PipelineError: The error that ended the call, of the class that it had in the child.
        KeyboardInterrupt: The call was interrupted, and the child has ended.
    """
    report = reporter(progress)
    child = _Child({"function": function, "arguments": arguments, "parent": os.getpid()})
    try:
        child.follow(report)
    except BaseException:
        child.stop()
        raise
    finally:
        child.close()
    return child.result()


class _Child:
    """A child process that runs one call."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        text = json.dumps(request) + "\n"
        answer, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*_command(), str(write)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                env=_environment(),
                start_new_session=True,
            )
        except BaseException:
            os.close(answer)
            raise
        finally:
            os.close(write)
        self._answer = answer
        self._received = b""
        with suppress(BrokenPipeError):
            self._stdin.write(text.encode())
            self._stdin.flush()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    def follow(self, report: Callable[[str], object]) -> None:
        """Report the child's lines and receive its answer until it has ended."""
        lines, ended = b"", False
        with selectors.DefaultSelector() as selector:
            selector.register(self._answer, selectors.EVENT_READ)
            selector.register(self._stdout, selectors.EVENT_READ)
            # A process that the child left behind may hold its standard error open.
            while selector.get_map() and not ended:
                ready = selector.select(_POLL_S)
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fd == self._answer:
                        self._received += data
                    else:
                        *whole, lines = (lines + data).split(b"\n")
                        _report_all(whole, report)
                ended = not ready and self._process.poll() is not None
        _report_all([lines], report)
        self._process.wait()

    def stop(self) -> None:
        """Interrupt the child and wait for its end; interrupted again, end it at once."""
        try:
            self._signal(signal.SIGINT)
            self.follow(_ignore)
        except KeyboardInterrupt:
            self._signal(signal.SIGINT)
            with suppress(KeyboardInterrupt):
                self._wait(_KILL_S)
            self._kill()

    def close(self) -> None:
        """Let go of the pipes; what is left of the child's group is killed."""
        if self._process.poll() is None:
            self._kill()
        elif self._process.returncode < 0:
            self._kill_group()
        for stream in (self._stdin, self._stdout):
            with suppress(OSError):
                stream.close()
        os.close(self._answer)

    def result(self) -> Any:
        """Return the value that the child answered, or raise the error that it met."""
        try:
            answer: dict[str, Any] = json.loads(self._received)
        except ValueError:
            raise PipelineError(_ended(self._process.returncode)) from None
        if "error" in answer:
            raise _error(answer["error"])
        return answer["value"]

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)

    def _kill(self) -> None:
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _ignore(_: str) -> None:
    """Drop a line."""


def _report_all(lines: list[bytes], report: Report) -> None:
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            report(text)


def _command() -> list[str]:
    # -P: a file called pipeline.py in the working folder is not ours.
    return [_interpreter(), "-P", "-m", "pipeline", FLAG]


def _interpreter() -> str:
    """Return this Python's executable; where it is embedded, that of its environment.

    Raises:
        ConfigError: There is none.
    """
    for path in (sys.executable, f"{sys.prefix}/bin/python3"):
        if path and "python" in Path(path).name.lower() and Path(path).is_file():
            return path
    raise ConfigError(
        f"no Python interpreter at {sys.executable!r} or in {sys.prefix}/bin: Overtile needs one "
        "for its child processes"
    )


def _environment() -> dict[str, str]:
    """Return the caller's environment, with the folder of this package on the child's path."""
    environment = dict(os.environ)
    # Kernels name a backend that draws into notebooks.
    environment["MPLBACKEND"] = "Agg"
    root = Path(pipeline.__file__ or "").resolve().parents[1]
    if root.name not in ("site-packages", "dist-packages"):
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(root), *([before] if before else [])])
    return environment


def _ended(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        why = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"the child process was ended by {name}{why}; the same call goes on where it stopped"
    return f"the child process ended with code {code} and without a result"


def _error(found: Mapping[str, Any]) -> Exception:
    """Return the error that a child reported, as an object of its own class."""
    kind = getattr(errors, str(found["type"]), None)
    if isinstance(kind, type) and issubclass(kind, PipelineError):
        return kind(*found["arguments"])
    return RuntimeError(f"{found['type']} in the child process:\n{found['traceback']}")
