"""The second signal ends a command whatever holds it: compiled code, or who holds the GIL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.cli import watcher
from tests.processes import descendants, files, gone, lives

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

INT, TERM = signal.SIGINT, signal.SIGTERM

HELD = """
import ctypes, itertools, os, signal, subprocess, sys, threading, time, typer
from pipeline.cli.exits import failing

signal.signal(signal.SIGINT, signal.{sigint})
mutex = ctypes.create_string_buffer(256)

def locked(library):
    # Unlike sleep(), it goes on waiting after a handler.
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)

def ready():
    print("ready", flush=True)

def gil_by_main():
    ready()
    locked(ctypes.PyDLL(None))

def gil_by_thread():
    threading.Timer(0.1, ctypes.PyDLL(None).sleep, [600]).start()
    ready()
    threading.Event().wait()

def gil_by_a_loop():
    ready()
    sum(itertools.repeat(1))

def main_without_gil():
    ready()
    locked(ctypes.CDLL(None))

def with_children():
    # One that minds no signal, with one of its own, and one in a session of its own.
    stubborn = "trap '' INT TERM; sleep 600 & wait; sleep 600"
    subprocess.Popen(["sh", "-c", stubborn])
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    time.sleep(0.1)
    gil_by_main()

def at_rest():
    ready()
    time.sleep(600)

def signals_to_a_child():
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: None)
        time.sleep(600)
    time.sleep(0.2)
    for _ in range(3):
        os.kill(child, signal.SIGTERM)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    ready()
    time.sleep(600)

def twice():
    for _ in range(2):
        try:
            with failing():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(600)
        except typer.Exit as ended:
            print(ended.exit_code, flush=True)
    time.sleep(2.5)
    ready()

try:
    with failing():
        {held}()
except typer.Exit as ended:
    sys.exit(ended.exit_code)
"""


@contextmanager
def held(name: str, *, sigint: str = "default_int_handler") -> Iterator[subprocess.Popen[str]]:
    """Start a command that is held in a way."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD.format(held=name, sigint=sigint)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line == "ready\n":
                    break
            yield process
        finally:
            process.kill()


CASES = [
    ("gil_by_main", TERM, TERM),
    ("gil_by_main", INT, TERM),
    ("gil_by_thread", TERM, INT),
    ("gil_by_a_loop", INT, INT),
    ("main_without_gil", TERM, TERM),
    ("with_children", INT, TERM),
]


def test_the_second_signal_ends_what_no_handler_of_python_ends() -> None:
    # All at once: each takes as long as a process is given to end by itself.
    with ExitStack() as stack:
        started = [(case, stack.enter_context(held(case[0]))) for case in CASES]
        time.sleep(0.3)
        below = [descendants(process.pid) for _, process in started]
        for (name, *_), found in zip(CASES, below, strict=True):
            assert len(found) == (4 if name == "with_children" else 1), name
        for (_, first, _), process in started:
            process.send_signal(first)
        time.sleep(0.3)
        for case, process in started:
            assert process.poll() is None, case
        began = time.monotonic()
        for (_, _, second), process in started:
            process.send_signal(second)
        for case, process in started:
            # To the end of its output: nothing else holds that open.
            assert process.communicate(timeout=20) == ("", ""), case
            assert process.returncode == -signal.SIGKILL, case
        assert time.monotonic() - began < 15
        for case, found in zip(CASES, below, strict=True):
            assert gone(found), case


@pytest.mark.parametrize(("first", "second"), [(TERM, TERM), (TERM, INT), (INT, TERM)])
def test_where_python_runs_the_first_signal_is_reported_and_the_second_not_needed(
    first: signal.Signals, second: signal.Signals
) -> None:
    with held("at_rest") as process:
        below = descendants(process.pid)
        process.send_signal(first)
        process.send_signal(second)
        _, said = process.communicate(timeout=20)
        # Or the system ends it, once Python has given up its handlers.
        assert process.returncode in {128 + first, 128 + second, -second}
        assert said in ("", "stopped; run the same command again to go on where it stopped\n")
        assert gone(below)


def test_a_signal_that_is_ignored_does_not_count() -> None:
    with held("gil_by_main", sigint="SIG_IGN") as process:
        for number in (INT, INT, TERM, INT):
            process.send_signal(number)
            time.sleep(0.1)
        time.sleep(2.5)
        assert process.poll() is None
        process.send_signal(TERM)
        assert process.wait(20) == -signal.SIGKILL


def test_signals_to_a_forked_child_do_not_count() -> None:
    with held("signals_to_a_child") as process:
        time.sleep(2.5)
        assert process.poll() is None
        process.send_signal(TERM)
        assert process.wait(20) == 128 + TERM


def test_commands_one_after_the_other_in_a_process_are_counted_apart() -> None:
    with held("twice") as process:
        assert process.wait(30) == 0


def test_what_watches_holds_nothing_and_ends_with_the_command() -> None:
    with held("at_rest") as process:
        (watcher,) = descendants(process.pid)
        end = time.monotonic() + 10
        while (kept := files(watcher)) != {"socket", "/dev/null"} and time.monotonic() < end:
            time.sleep(0.02)  # it is still starting
        assert kept == {"socket", "/dev/null"}
        assert os.getsid(watcher) != os.getsid(process.pid)
        os.kill(watcher, TERM)
        os.kill(watcher, INT)
        os.kill(watcher, signal.SIGHUP)
        time.sleep(0.1)
        assert lives(watcher)
        process.kill()
        process.wait(20)
        assert gone({watcher})


def test_a_command_that_lost_its_watcher_still_handles_signals() -> None:
    with held("at_rest") as process:
        for watcher in descendants(process.pid):
            os.kill(watcher, signal.SIGKILL)
        process.send_signal(TERM)
        _, said = process.communicate(timeout=20)
        assert "stopped; run the same command again" in said
        assert process.returncode == 128 + TERM


INIT = """
import ctypes, os, sys, time, typer
from pipeline.cli.exits import failing
from pipeline.cli.stop import run_under_init

run_under_init()
try:
    with failing():
        print(os.getpid(), flush=True)
        if "held" in sys.argv:
            mutex = ctypes.create_string_buffer(256)
            for _ in range(2):
                ctypes.PyDLL(None).pthread_mutex_lock(mutex)
        if "at_rest" in sys.argv:
            time.sleep(600)
    sys.exit(3)
except typer.Exit as ended:
    sys.exit(ended.exit_code)
"""


@pytest.mark.parametrize(
    ("name", "sent", "code"),
    [("held", (TERM, TERM), 137), ("at_rest", (TERM,), 143), ("ends", (), 3)],
)
def test_as_process_1_of_a_container_it_is_the_same(
    name: str, sent: tuple[signal.Signals, ...], code: int
) -> None:
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("only root may begin a namespace of processes")
    begun = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*begun, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of processes cannot be begun here")
    process = subprocess.Popen(
        [*begun, sys.executable, "-c", INIT, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 1
            if sent:  # else it has ended by now
                (init,) = (pid for pid in descendants(process.pid) if _parent(pid) == process.pid)
            for number in sent:
                time.sleep(0.3)
                os.kill(init, number)
            _, said = process.communicate(timeout=30)
            assert process.returncode == code
            assert said == ("" if code != 143 else f"{STOPPED}\n")
        finally:
            process.kill()


STOPPED = "stopped; run the same command again to go on where it stopped"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("named", ["another", "1"])
def test_a_watcher_whose_parent_has_ended_kills_nobody(named: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(["sh", "-c", "sleep 600 & wait"]) as other:
        time.sleep(0.1)
        (below,) = descendants(other.pid)
        parent = str(other.pid) if named == "another" else named
        command = [sys.executable, "-I", "-S", watcher.__file__, parent]
        with subprocess.Popen(command, stdin=theirs.fileno()) as process:
            ours.send(bytes([watcher.ARM, TERM, TERM]))
            assert process.wait(20) == 0
        assert lives(other.pid)
        assert lives(below)
        other.kill()
        os.kill(below, signal.SIGKILL)
