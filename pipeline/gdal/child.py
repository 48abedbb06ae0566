"""Functions called in a child process with limits of memory, time and answer.

Decoding a foreign file is done by compiled code that no signal of Python interrupts, and that may
hang, take all memory or crash. In a child it can be ended, and only the child ends. The
child is forked from a process that has all imports behind it and serves one call at a time;
it is ended with this process, whatever ends that, and when the wait is interrupted.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeline
from pipeline.errors import ConfigError
from pipeline.gdal.child_process import FAILED, LENGTH, NO_MEMORY

_CODE = (
    "import sys; sys.path.append(sys.argv[2]); "
    "from pipeline.gdal.child_process import main; main(int(sys.argv[1]))"
)
_ENVIRONMENT = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "XDG_CACHE_HOME"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "NUMBA_CACHE_DIR"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
    *("PROJ_DATA", "PROJ_LIB", "GDAL_DATA"),
}
"""What a child sees of the environment; `isolate_environment` removes the last from wheels."""
_PINNED = {
    # One core and no reserves: what a child takes is what the file needs.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "PYTHONUTF8": "1",
}
_IDLE_AT_MOST = 2
_START_S = 120.0


class ChildError(Exception):
    """A call in a child process did not end well; the message says what happened."""


class ChildMemoryError(ChildError):
    """The call would have taken more memory than its limit."""


class ChildTimeError(ChildError):
    """The call took longer than its limit."""


class _IdleError(Exception):
    """The server ended before it took the call: nothing was asked of it for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """What a call may take."""

    memory_bytes: int
    """Memory beside what the imports take."""
    seconds: float
    """Wall-clock time, and processor time."""
    answer_bytes: int
    """Size of what it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCall:
    """A function to be called in a child process."""

    function: str
    """``module:function``; it takes ``arguments`` and descriptors, and returns what JSON can
    hold, and an Arrow table or None."""
    arguments: Mapping[str, Any]
    """Values that JSON can hold."""
    preload: tuple[str, ...] = ()
    """Modules to import, or functions to call once, before forking: the next calls have them."""


def call_in_child(
    call: ChildCall, *, files: Sequence[int], limits: ChildLimits
) -> tuple[dict[str, Any], memoryview]:
    """Call a function in a child process, and return its header and Arrow stream.

    Args:
        call: What to call.
        files: Open files that it reads.
        limits: What it may take.

    Raises:
        ConfigError: The function raised one, or no process can be started.
        ChildError: It took more than it may, crashed, or raised something else.
    """
    server = _take()
    if server is not None:
        with suppress(_IdleError):
            return _answered(server, call, files, limits)
    return _answered(_Server(), call, files, limits)


def _answered(
    server: _Server, call: ChildCall, files: Sequence[int], limits: ChildLimits
) -> tuple[dict[str, Any], memoryview]:
    """Return a server's answer; it is kept for the next call unless it had to be interrupted."""
    try:
        raw, ended = server.ask(call, files, limits)
    except BaseException:
        server.end()
        raise
    _give_back(server)
    _check(ended, raw, limits)
    return _split(raw)


def _split(raw: bytearray) -> tuple[dict[str, Any], memoryview]:
    start = 1 + LENGTH.size
    end = start + LENGTH.unpack_from(raw, 1)[0]
    header: dict[str, Any] = json.loads(raw[start:end])
    if bytes(raw[:1]) == b"=":
        return header, memoryview(raw)[end:]
    if header["type"] == "ConfigError":
        raise ConfigError(header["text"])
    if header["type"] == "MemoryError":
        raise ChildMemoryError("it ran out of memory")
    raise ChildError(f"{header['type']}: {header['text']}")


class _Server:
    """A process that forks children, and the socket to it."""

    def __init__(self) -> None:
        try:
            self._socket, others = socket.socketpair()
        except OSError as error:
            raise _cannot_start(error) from error
        try:
            self._process = _started(others.fileno())
        except OSError as error:
            self._socket.close()
            raise _cannot_start(error) from error
        finally:
            others.close()
        _all.add(self)

    def ask(
        self, call: ChildCall, files: Sequence[int], limits: ChildLimits
    ) -> tuple[bytearray, dict[str, int]]:
        """Return the bytes of an answer, and how the child ended that gave it."""
        request = json.dumps(
            {
                "call": call.function,
                "arguments": call.arguments,
                "preload": call.preload,
                "memory_bytes": limits.memory_bytes,
                "seconds": limits.seconds,
            }
        ).encode()
        try:
            answer, others = os.pipe()
        except OSError as error:
            raise _cannot_start(error) from error
        try:
            try:
                self._send(request, [others, *files])
            finally:
                os.close(others)
            return self._answer(answer, limits)
        finally:
            os.close(answer)

    def _send(self, request: bytes, files: list[int]) -> None:
        try:
            socket.send_fds(self._socket, [LENGTH.pack(len(request))], files)
            self._socket.sendall(request)
        except OSError as error:
            raise self._lost(started=False) from error

    def _answer(self, answer: int, limits: ChildLimits) -> tuple[bytearray, dict[str, int]]:
        """Return what comes through the pipe until the child has ended, and how it did."""
        raw, messages = bytearray(), _Messages()
        ended: dict[str, int] = {}
        # Starting and importing are no fault of the file: its time begins with its child.
        end = time.monotonic() + _START_S
        with selectors.DefaultSelector() as waiting:
            waiting.register(answer, selectors.EVENT_READ)
            waiting.register(self._socket, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(max(0.0, end - time.monotonic()))
                if not ready:
                    raise ChildTimeError(f"it took longer than {limits.seconds:.0f} s")
                for key, _ in ready:
                    if key.fd == answer:
                        piece = os.read(answer, 2**20)
                        raw += piece
                        if not piece:
                            waiting.unregister(answer)
                        continue
                    piece = self._received()
                    if not piece:
                        raise self._lost(started=messages.count > 0)
                    for message in messages.add(piece):
                        if "child" in message:
                            end = time.monotonic() + limits.seconds
                        else:
                            ended = message
                            waiting.unregister(self._socket)
                if len(raw) > limits.answer_bytes:
                    raise ChildMemoryError(f"it gives more than {limits.answer_bytes:,} bytes")
        return raw, ended

    def _received(self) -> bytes:
        with suppress(ConnectionError):
            return self._socket.recv(4096)
        return b""

    def _lost(self, *, started: bool) -> Exception:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        if self._process.poll() == 0 and not started:
            return _IdleError()
        lines: list[str] = []
        if self._process.poll() is not None and self._process.stderr is not None:
            lines = self._process.stderr.read().decode(errors="replace").split("\n")
        reason = [f"exit status {self._process.returncode}", *filter(None, lines)][-1]
        return ConfigError(f"the process that reads files ended ({reason}); run the command again")

    def end(self) -> None:
        """End the process, and with it the child."""
        self.forget()
        if sys.platform == "linux":  # elsewhere a child would outlive it
            self._process.kill()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Close this process's ends of what leads to it."""
        _all.discard(self)
        self._socket.close()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def disown(self) -> None:
        """Leave it to the process that this one was forked off."""
        self.forget()
        self._process.returncode = 0


def _started(handle: int) -> subprocess.Popen[bytes]:
    """Start a server that is given one end of a socket.

    Raises:
        OSError: No process can be started.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    root = str(Path(pipeline.__file__).resolve().parents[1])

    def start(executable: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            # -P: the current folder may hold foreign modules.
            [sys.executable, "-P", "-c", _CODE, str(handle), root],
            executable=executable,
            env=environment | _PINNED,
            pass_fds=(handle,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    try:
        return start(sys.executable)
    except PermissionError:
        # Whoever became another user may not reach the interpreter's folder any more.
        return start("/proc/self/exe")


def _cannot_start(error: OSError) -> ConfigError:
    return ConfigError(
        f"no process to read files can be started ({error}); free memory or processes, or "
        "raise the limits of open files and processes (ulimit -n, -u)"
    )


class _Messages:
    """What a server writes to its socket, in pieces as they come."""

    def __init__(self) -> None:
        self._raw = b""
        self.count = 0

    def add(self, piece: bytes) -> Iterator[dict[str, int]]:
        """Yield the messages that a piece completes."""
        self._raw += piece
        while len(self._raw) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._raw)[0]
            if len(self._raw) < end:
                return
            text, self._raw = self._raw[LENGTH.size : end], self._raw[end:]
            self.count += 1
            yield json.loads(text)


def _check(ended: Mapping[str, int], raw: bytearray, limits: ChildLimits) -> None:
    """Check that a child ended well.

    Raises:
        ChildError: It did not.
    """
    status = ended.get("status", FAILED)
    if status == 0 and bytes(raw[:1]) in (b"=", b"!"):
        return
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            raise ChildTimeError(f"it took longer than {limits.seconds:.0f} s")
        # Compiled code that is given no memory aborts, or follows the null that it was given.
        if ended["peak_bytes"] > limits.memory_bytes // 2 or number == signal.SIGABRT:
            raise ChildMemoryError("it ran out of memory")
        raise ChildError(f"reading it ended with {signal.Signals(number).name}")
    code = os.waitstatus_to_exitcode(status)
    if code == NO_MEMORY:
        raise ChildMemoryError("it ran out of memory")
    raise ChildError(f"reading it ended with exit status {code}")


_lock = threading.Lock()
_idle: list[_Server] = []
_all: set[_Server] = set()


def _take() -> _Server | None:
    with _lock:
        return _idle.pop() if _idle else None


def _give_back(server: _Server) -> None:
    with _lock:
        if len(_idle) < _IDLE_AT_MOST:
            _idle.append(server)
            return
    server.end()


@atexit.register
def _end_all() -> None:
    for server in list(_all):
        server.end()


def end_children() -> None:
    """End the processes that wait for calls; the next call starts a new one."""
    with _lock:
        waiting, _idle[:] = [*_idle], []
    for server in waiting:
        server.end()


def _disown_all() -> None:
    """Leave the servers to the process that this one was forked off."""
    global _lock
    _lock = threading.Lock()
    for server in list(_all):
        server.disown()
    _idle.clear()


os.register_at_fork(after_in_child=_disown_all)
