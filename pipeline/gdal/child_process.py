"""The process that forks a child for each file that is read under limits.

It is started by `pipeline.gdal.child`, imports what reading needs, and then forks: a child
costs milliseconds, has limits of its own, and leaves nothing behind. A request comes over a
socket as JSON with open files; the child's answer goes through a pipe: one byte (``=`` or
``!``), a length, JSON, and an Arrow stream where there is a table. Nothing is pickled.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, BinaryIO, NoReturn

from pipeline.gdal.environment import isolate_environment

LENGTH = struct.Struct("<Q")
MOST_FILES = 16
"""Files that may come with one request."""
IDLE_S = 20.0
"""The process ends when nothing was asked for so long."""
WRITTEN_BYTES = 2**26
"""Size to which a child may write a file (compiled code is kept on disk)."""
FAILED, NO_MEMORY = 1, 3
"""Exit codes of a child whose answer is not whole."""
_PR_SET_PDEATHSIG = 1


def main(handle: int) -> None:
    """Answer requests until the other side closes its socket or asks nothing more."""
    isolate_environment()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a group, they are for the parent
        signal.signal(number, signal.SIG_IGN)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    with socket.socket(fileno=handle) as peer:
        while select.select([peer], [], [], IDLE_S)[0]:
            request, files = _receive(peer)
            if request is None:
                return
            for name in request["preload"]:
                _prepare(name)
            gc.freeze()
            child = os.fork()
            if child == 0:
                peer.close()
                _child(request, files)
            for file in files:
                os.close(file)
            _send(peer, {"child": child})
            status, usage = _wait(child, peer, woken)
            _send(peer, {"status": status, "peak_bytes": usage.ru_maxrss * 1024})


@cache
def _prepare(name: str) -> None:
    """Import a module, or call one of its functions once."""
    if ":" in name:
        _named(name)()
    else:
        importlib.import_module(name)


def _send(peer: socket.socket, message: dict[str, int]) -> None:
    text = json.dumps(message).encode()
    with suppress(OSError):  # the parent has ended, as the next select shows
        peer.sendall(LENGTH.pack(len(text)) + text)


def _receive(peer: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    head, files, _, _ = socket.recv_fds(peer, LENGTH.size, MOST_FILES)
    if len(head) < LENGTH.size:
        return None, files
    left = LENGTH.unpack(head)[0]
    text = b""
    while len(text) < left:
        piece = peer.recv(left - len(text))
        if not piece:
            return None, files
        text += piece
    request: dict[str, Any] = json.loads(text)
    return request, files


def _wait(child: int, peer: socket.socket, woken: int) -> tuple[int, resource.struct_rusage]:
    """Return how a child ended; it is killed, and this process ends, if the parent has ended."""
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage
        ready, _, _ = select.select([peer.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if peer.fileno() in ready:  # nothing is asked before the last answer: it was closed
            os.kill(child, signal.SIGKILL)
            os.wait4(child, 0)
            raise SystemExit(0)


def _child(request: dict[str, Any], files: list[int]) -> NoReturn:
    code = FAILED
    try:
        _set_limits(request)
        answer = files.pop(0)
        with os.fdopen(answer, "wb", buffering=2**20) as out:
            _answer(request, files, out)
        code = 0
    except MemoryError:
        code = NO_MEMORY
    finally:
        os._exit(code)


def _answer(request: dict[str, Any], files: list[int], out: BinaryIO) -> None:
    """Call the function asked for, and write what it returns or raises."""
    try:
        header, table = _named(request["call"])(request["arguments"], files)
    except MemoryError:
        _write(out, b"!", {"type": "MemoryError", "text": ""})
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        text = str(error).encode(errors="replace").decode()
        _write(out, b"!", {"type": type(error).__name__, "text": text})
    else:
        _write(out, b"=", header)
        if table is not None:
            import pyarrow as pa

            with pa.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _write(out: BinaryIO, mark: bytes, header: dict[str, Any]) -> None:
    text = json.dumps(header).encode()
    out.write(mark + LENGTH.pack(len(text)) + text)


def _set_limits(request: dict[str, Any]) -> None:
    """Give this process its limits, and have it killed with the one that forked it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        data = request["memory_bytes"] + _private_bytes()
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    seconds = int(request["seconds"]) + 2  # the parent's clock comes first
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES, WRITTEN_BYTES))


def _private_bytes() -> int:
    """Return the private memory that this process has taken so far, as the kernel counts it."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123 - no import more
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0
