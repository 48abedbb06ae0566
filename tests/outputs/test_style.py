"""The QGIS style: well-formed, background transparent, classes in their colours."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from pipeline.outputs.provenance import MapClass
from pipeline.outputs.vectors.style import write_mask_style


def test_the_style_shows_classes_and_hides_the_background(tmp_path: Path) -> None:
    classes = (
        MapClass(value=1, name='roof & "wall"', colour=(255, 170, 30)),
        MapClass(value=2, name="salt", colour=(0, 1, 2)),
    )
    write_mask_style(tmp_path / "mask.qml", classes)
    root = ElementTree.fromstring((tmp_path / "mask.qml").read_text("utf-8"))
    entries = [entry.attrib for entry in root.iter("paletteEntry")]
    assert entries == [
        {"value": "0", "color": "#ffffff", "alpha": "0", "label": "background"},
        {"value": "1", "color": "#ffaa1e", "alpha": "255", "label": 'roof & "wall"'},
        {"value": "2", "color": "#000102", "alpha": "255", "label": "salt"},
    ]
