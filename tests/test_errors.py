"""Errors come back from a worker as they were, and exit codes say who must act."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pipeline import errors
from pipeline.errors import (
    ClusterError,
    ConfigError,
    ExportError,
    LockedError,
    ModelError,
    PipelineError,
    SceneError,
    interrupted,
)

EVERY = [
    PipelineError("something"),
    ConfigError("a.yaml: no such field"),
    SceneError("a.tif", "has 1 band, 3 are needed", "choose them with --bands"),
    ModelError("m.safetensors: damaged"),
    ExportError("mask.tif: no space left"),
    ClusterError("the scheduler at tcp://host:8786 was lost"),
    LockedError("out", "process 7 on host since noon"),
]


def test_every_kind_of_error_is_here() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    assert kinds == {type(error) for error in EVERY}
    assert all(issubclass(kind, PipelineError) for kind in kinds)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_unpickles_as_it_was(error: PipelineError) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(error, protocol))
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert vars(back) == vars(error)
        assert back.args == error.args


def test_a_scenes_error_names_file_reason_and_way_out() -> None:
    assert str(EVERY[2]) == "a.tif: has 1 band, 3 are needed; choose them with --bands"


def test_a_locked_folder_names_its_holder() -> None:
    assert "out is in use by process 7 on host since noon" in str(EVERY[6])


def test_a_stop_is_known_behind_what_compiled_code_makes_of_it() -> None:
    assert interrupted(KeyboardInterrupt())
    assert not interrupted(SystemError("damaged"))
    assert not interrupted(ValueError())
    wrapped = SystemError("a result with an exception set")
    wrapped.__cause__ = SystemError("the same")
    assert not interrupted(wrapped)
    wrapped.__cause__.__cause__ = KeyboardInterrupt()
    assert interrupted(wrapped)
    other = ValueError()
    other.__cause__ = KeyboardInterrupt()
    assert not interrupted(other)
