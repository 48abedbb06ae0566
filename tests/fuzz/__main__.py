"""Coverage-guided fuzzing: ``python -m tests.fuzz TARGET SECONDS [CORPUS]``.

Ends with an error where a target raised anything but a refusal, took longer than 20 s or
more than 2 GiB; the input is left in the corpus folder.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline"]):
    from tests.fuzz.targets import TARGETS, seeds


def main() -> None:
    """Fuzz one target."""
    name, seconds = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as kept:
        corpus = Path(sys.argv[3] if len(sys.argv) > 3 else kept).absolute() / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (corpus / f"seed{number}").write_bytes(seed)
        place = Path(kept) / "place"
        place.mkdir()
        options = [
            *(f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192"),
            *("-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}/found-"),
        ]
        atheris.Setup([sys.argv[0], *options, str(corpus)], partial(_once, name, place))
        atheris.Fuzz()


def _once(name: str, place: Path, data: bytes) -> None:
    TARGETS[name](data, place)


if __name__ == "__main__":
    main()
