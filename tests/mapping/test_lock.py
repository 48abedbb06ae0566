from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, LockedError
from pipeline.mapping.lock import NAME, lock_folder

HOLD = """
import sys, time
from pathlib import Path
from pipeline.mapping.lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_the_folder_until_the_first_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as refused, lock_folder(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with lock_folder(tmp_path):
            assert f'"pid": {os.getpid()}' in (tmp_path / NAME).read_text()
    told = str(refused.value)
    assert f"process {other.pid} on {socket.gethostname()} since 20" in told
    assert str(tmp_path) in told


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_folder(tmp_path / "new" / "folder"):
            pass


def test_a_lock_that_says_nothing_still_locks(tmp_path: Path) -> None:
    with lock_folder(tmp_path):
        (tmp_path / NAME).write_text("")
        with pytest.raises(LockedError, match="another run"), lock_folder(tmp_path):
            pass


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="choose another folder"), lock_folder(tmp_path / "file"):
        pass


def test_a_lock_that_is_a_link_empties_no_other_file(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).symlink_to(theirs)
    with pytest.raises(ConfigError, match="choose another folder"), lock_folder(tmp_path / "out"):
        pass
    assert theirs.read_text() == "kept"
