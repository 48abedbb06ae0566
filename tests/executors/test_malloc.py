"""Freed memory that is kept is not cleared anew each time that it is asked for."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_LAYERS = """
import resource
import sys

import torch

from pipeline.malloc import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(40):
    torch.ones(1 << 24)  # up to nine blocks are laid side by side before one is free at the end
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 24)  # 64 MB: 16,384 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its own way")
def test_a_layer_finds_the_pages_of_the_last_one() -> None:
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", _LAYERS, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("given back", "kept")
    }
    assert faults["kept"] < faults["given back"] / 10, faults
