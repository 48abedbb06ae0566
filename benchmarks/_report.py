"""How the benchmarks tell what they measured: a table for people, a JSON line for machines."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def report(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table, then as one JSON line."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(head, "")) for head in heads] for row in rows]
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    sys.stdout.write(f"{name}: {os.cpu_count()} cores, {platform.machine()}\n")
    for line in [heads, *cells]:
        sys.stdout.write(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + "\n"
        )
    sys.stdout.write(json.dumps({"benchmark": name, "rows": rows}) + "\n")
    sys.stdout.flush()


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Peak:
    """The largest resident memory of a process and its children, sampled 20 times a second."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.bytes = 0


def _resident(process: Any, *, shared: bool) -> int:
    return int(process.memory_full_info().pss if shared else process.memory_info().rss)


@contextmanager
def peak_memory(pid: int) -> Iterator[Peak]:
    """Watch a process tree while the block runs."""
    import psutil

    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            try:
                root = psutil.Process(pid)
                tree = [root, *root.children(recursive=True)]
                # What forked processes share counts once: a child about to start another
                # program would double its parent.
                total = sum(_resident(process, shared=len(tree) > 1) for process in tree)
                peak.bytes = max(peak.bytes, total)
            except psutil.Error:
                pass
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
