"""Planning a region of many scenes of which few are new.

    python -m benchmarks.region [SCENES]

Tiny files, half of them behind a static STAC catalogue; all but ten are in the ledger.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.plan import plan_region, plan_summary
from pipeline.regions.resolved_region import SCENES, ResolvedRegion, resolve_region

NEW = 10


def make(root: Path, count: int) -> ResolvedRegion:
    """Write files, catalogue and region; note all but the last ones as done."""
    (root / "scenes").mkdir()
    (root / "cat").mkdir()
    links = []
    for at in range(count):
        if at % 2:
            (root / "scenes" / f"s{at:06d}.tif").write_bytes(b"II*\0" + at.to_bytes(8, "little"))
            continue
        (root / "cat" / f"{at}.tif").write_bytes(b"II*\0" + at.to_bytes(8, "little"))
        item = {
            "type": "Feature",
            "id": f"i{at}",
            "bbox": [85, 27, 86, 28],
            "properties": {"datetime": "2024-01-01T00:00:00Z", "eo:cloud_cover": 3},
            "assets": {"visual": {"href": f"./{at}.tif", "type": "image/tiff"}},
        }
        (root / "cat" / f"{at}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{at}.json"})
    (root / "cat" / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": links}))
    (root / "region.yaml").write_text(
        "name: many\ntask: bright\nsources:\n  - {type: files, path: scenes}\n"
        "  - {type: catalog, href: cat/catalog.json, datetime: 2024-01-01/.., max_cloud: 20}\n"
    )
    site = resolve_region(root / "region.yaml")
    site.out.mkdir()
    ledger = open_ledger(site.out, region="many")
    todos = plan_region(site, {}, now=0.0).todos
    rows = []
    for todo in todos[NEW // 2 : -NEW // 2]:
        folder = site.out / SCENES / todo.folder
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        rows.append(replace(todo.row, state="done", key=todo.row.wanted, folder=todo.folder))
    ledger.put(rows)
    ledger.close()
    return site


def main() -> None:
    """Print the table and a JSON line; processor time is what the machine's load leaves alone."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        print(f"making {count} scenes", file=sys.stderr)
        site = make(Path(folder), count)
        took, busy = [], []
        for at in range(3):
            print(f"planning, {at + 1} of 3", file=sys.stderr)
            began, worked = time.perf_counter(), time.process_time()
            found = plan_summary(resolve_region(Path(folder) / "region.yaml"), now=0.0)
            took.append(round(time.perf_counter() - began, 3))
            busy.append(round(time.process_time() - worked, 3))
        states = Counter(one["state"] for one in found["scenes"])
    print(f"{'scenes':>8} {'new':>5} {'first, s':>9} {'best, s':>9} {'processor, s':>13}")
    print(f"{count:8} {states['map']:5} {took[0]:9.2f} {min(took):9.2f} {max(busy):13.2f}")
    print(json.dumps({"scenes": count, "states": states, "seconds": took, "processor": busy}))
    if states != {"done": count - NEW, "map": NEW}:
        raise SystemExit(f"planned {dict(states)} of {site.region.name}")


if __name__ == "__main__":
    main()
