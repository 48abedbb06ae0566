"""Names mean one thing, and are the field's terms."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PIPELINE = Path(__file__).resolve().parents[1] / "pipeline"
PRIVATE_WORDS = frozenset(
    [
        "Answer",
        "Claims",
        "Contract",
        "Crew",
        "Doubt",
        "Flights",
        "Held",
        "Intake",
        "Joiner",
        "Joints",
        "Pool",
        "Rim",
        "Rims",
        "Runs",
        "Said",
        "Seen",
        "Shaper",
        "Sightings",
        "Site",
        "Sweep",
        "Tell",
        "Todo",
        "Unknown",
        "agree",
        "agreed",
        "alike",
        "doubts_of",
        "few_arenas",
        "footing",
        "give_back",
        "holding_folder",
        "joints_of",
        "noded",
        "owners",
        "rim_of",
        "sightings",
        "strays",
        "strip",
        "take_in",
        "told",
        "todo_of",
        "unearthly",
    ]
)
"""Names that were replaced by standard terms."""
ENTRIES = frozenset({"api", "cli"})
"""Folders whose functions are called as what they offer: `evaluate`, `map_`."""


def _top_level() -> dict[str, list[str]]:
    found = defaultdict(list)
    for path in sorted(PIPELINE.rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PIPELINE)))
    return found


def test_public_names_stand_once() -> None:
    twice = {
        name: places
        for name, found in _top_level().items()
        if len(places := sorted({p for p in found if p.split("/")[0] not in ENTRIES})) > 1
        # Of programs that are started as files.
        and name != "main"
    }
    assert twice == {}


def test_private_words_do_not_come_back() -> None:
    found = _top_level()
    assert {name: found[name] for name in PRIVATE_WORDS & found.keys()} == {}
