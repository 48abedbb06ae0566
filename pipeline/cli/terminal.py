"""Results at a terminal: lines for people, the last of which names the file to open."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.streams import print_json, print_lines

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON at a terminal too, as a pipe gets it.")
]
"""The option of every command whose result is summed up at a terminal."""
_FILES = ("gpkg", "fgb", "shp.zip", "geojson", "parquet", "geojsonl", "pmtiles")
"""Files of polygons, what opens best in a GIS first."""
_OTHER_FILES = ("quicklook.png", "mask.tif", "mask.sgy")
_PLURALS = {"building": "buildings"}
_RATIOS = ("precision", "recall")


def print_result(
    value: Mapping[str, Any],
    lines: Callable[[], Iterable[str]],
    *,
    as_json: bool,
    ensure_ascii: bool = False,
) -> None:
    """Print a command's result: lines at a terminal, JSON where asked for or into a pipe."""
    if as_json or not is_terminal():
        print_json(value, ensure_ascii=ensure_ascii)
    else:
        print_lines(iter(lines()))


def is_terminal() -> bool:
    """Return whether a person reads standard output."""
    return sys.stdout.isatty()


def planned(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of ``map --dry-run``."""
    rows, refused = summary["scenes"], summary["failed"]
    ready = len(rows) - refused
    yield f"{_count(ready, 'scene')} would be mapped{_others(refused, 'refused')}; nothing written"


def diagnosed(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of ``doctor``: state, what was checked, what was found, what to do."""
    width = max(len(check["name"]) for check in summary["checks"])
    for check in summary["checks"]:
        hint = f"; {check['hint']}" if check["hint"] else ""
        yield f"{check['state']:<8} {check['name']:<{width}}  {check['detail']}{hint}"
    failed = summary["failed"]
    yield "all checks passed" if not failed else f"{_count(failed, 'check')} failed"


def mapped(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of ``map``."""
    rows = [row for row in summary["scenes"] if row["state"] in ("done", "unchanged")]
    states = [row["state"] for row in summary["scenes"]]
    earlier = states.count("unchanged")
    done = f"mapped {_count(len(rows), 'scene')}"
    if earlier:
        done += f" ({'all' if earlier == len(rows) else earlier} of them earlier)"
        if len(rows) == 1:
            done = "mapped 1 scene (earlier)"
    done += _others(states.count("failed"), "failed")
    done += _others(states.count("stopped"), "not reached")
    done += _others(sum(bool(row["tiles_failed"]) for row in rows), "with failed tiles")
    done += _others(sum("unscored" in row for row in rows), "not scored")
    if found := _found(rows):
        done += f": {found}"
    if len(rows) == 1 and len(states) == 1:
        done += f"; open {_file_of(rows[0])}"
    elif rows:
        done += f"; open {summary.get('report', summary['out'])}"
    yield done


def evaluated(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of ``evaluate``: notes and figures, then what was compared."""
    if "systems" not in summary:
        yield from summary["notes"]
        figures = _figures(summary["headline"])
        yield f"compared {summary['scene']} with the truth: {figures}; open {summary['report']}"
        return
    scenes = summary["scenes"]
    yield from (f"{row['scene']}: {note}" for row in scenes for note in row["notes"])
    yield from (f"{row['report']}: {_figures(row['headline'])}" for row in scenes)
    done = f"compared {_count(len(scenes), 'prediction')} with the truth"
    done += _others(len(summary["failed"]), "failed")
    systems = summary["systems"]
    if len(systems) > 1:
        done += ": " + ", ".join(f"{one['name']} {_f1(one['figures'])}" for one in systems)
    elif summary["total"]:
        done += f": {_figures(summary['total']['figures'])}"
    yield f"{done}; open {summary['report']}"


def checked(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of ``check``."""
    count, wrong = summary["checked"], summary["wrong"]
    if not wrong:
        yield f"checked {_count(count, 'file')}: {'valid' if count == 1 else 'all valid'}"
        return
    faults = sum(map(len, summary["complaints"].values()))
    yield f"checked {_count(count, 'file')}: {wrong} not valid, {_count(faults, 'fault')} above"


def trained(summary: Mapping[str, Any], out: Path) -> Iterator[str]:
    """Yield the line of ``train``."""
    if "picture" in summary:
        yield f"drew {_count(summary['crops'], 'crop')}; open {summary['picture']}"
        return
    took = f"{_count(summary['steps'], 'step')} in {summary['hours']:g} h"
    pages = [out / name for name in ("test.html", "live.html") if (out / name).is_file()]
    page = f"; open {pages[0]}" if pages else ""
    yield f"trained {took}: map with --model {summary['model']}{page}"


def demonstrated(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of ``demo``."""
    if summary["picture"] is None:
        yield f"the demo's scene failed: {summary['reason']}"
        return
    found = f"{_found([summary])}, F1 {summary['f1']:.2f}"
    yield f"mapped the demo's scene: {found}; open {summary['picture']}"


def region_ran(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of ``region run``."""
    done = f"mapped {_count(summary['mapped'], 'scene')} of {summary['region']}"
    done += _others(summary.get("unchanged", 0), "unchanged")
    done += _others(summary["failed"], "failed")
    if faults := len(summary.get("faults", ())):
        done += f", {_count(faults, 'fault')}"
    if "run" not in summary:
        yield f"{done}; the next whole run updates the layer"
        return
    if summary.get("state") != "done":
        done += "; the layer stays as it was"
    elif summary.get("layer_built"):
        done += f"; {_count(summary['layer']['footprints'], 'footprint')} in the layer"
    page = f"; open {summary['report']}" if "report" in summary else ""
    yield done + page


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _others(number: int, what: str) -> str:
    return f", {number:,} {what}" if number else ""


def _figures(headline: Mapping[str, Any]) -> str:
    """Return F1, precision and recall, or why there are none."""
    if headline["f1"]["value"] is None:
        return f"no F1 ({headline['f1']['reason']})"
    known = {name: headline[name]["value"] for name in _RATIOS}
    others = ", ".join(f"{name} {x:.2f}" for name, x in known.items() if x is not None)
    return f"{_f1(headline)}, {others}" if others else _f1(headline)


def _f1(figures: Mapping[str, Any]) -> str:
    value = figures["f1"]["value"]
    return "no F1" if value is None else f"F1 {value:.2f}"


def _found(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how many polygons scenes have: buildings where they are nothing else."""
    counts = [row["polygons"] for row in rows if "polygons" in row]
    if not counts:
        return ""
    classes = {name for row in rows for name in _classes(row)}
    name = next(iter(classes)) if len(classes) == 1 else ""
    total = sum(counts)
    if name not in _PLURALS:
        return _count(total, "polygon")
    return f"{total:,} {name if total == 1 else _PLURALS[name]}"


def _classes(row: Mapping[str, Any]) -> set[str]:
    return {*_manifest(row).get("pixels", ())} - {"background", "nodata"}


def _file_of(row: Mapping[str, Any]) -> str:
    """Return the file of a scene's folder to open first."""
    folder = Path(row["folder"])
    if "scores" in row:
        return str(folder / "report.html")
    outputs = _manifest(row).get("outputs", {})
    names = (*(f"polygons.{suffix}" for suffix in _FILES), *_OTHER_FILES)
    return str(next((folder / name for name in names if name in outputs), folder))


def _manifest(row: Mapping[str, Any]) -> dict[str, Any]:
    from pipeline.mapping.publish import manifest_of

    return manifest_of(Path(row["folder"])) or {}
