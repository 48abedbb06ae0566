"""The package: light to import, complete, typed, and never hidden by another one unnoticed."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import overtile
from pipeline import errors

ROOT = Path(__file__).resolve().parents[2]
LIGHT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
began = time.process_time()
import overtile
dir(overtile)
took = time.process_time() - began
print(json.dumps([took, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def _run(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=60,
    )  # fmt: skip


def test_importing_it_is_quick_and_loads_neither_torch_nor_gdal(tmp_path: Path) -> None:
    took, modules = json.loads(_run(LIGHT, str(ROOT), cwd=tmp_path).stdout)
    assert took < 0.3
    heavy = {"torch", "rasterio", "pyogrio", "fiona", "osgeo", "geopandas", "xarray", "numpy"}
    assert not set(modules) & heavy


def test_all_names_what_there_is() -> None:
    assert sorted(overtile.__all__) == list(overtile.__all__)
    assert set(overtile.__all__) <= set(dir(overtile))
    for name in overtile.__all__:
        found = getattr(overtile, name)
        assert inspect.getdoc(found), name
        assert found.__name__ == name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = overtile.nothing_of_the_kind  # type: ignore[attr-defined]  # none


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "overtile" / "__init__.py").read_text())
    block, _ = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(module, name) for name, module in overtile._HOMES.items()}
    assert {name for _, name in seen} == set(overtile.__all__)
    for package in ("overtile", "pipeline"):
        assert (ROOT / package / "py.typed").is_file()


def test_all_errors_are_exported() -> None:
    raised = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
    }
    assert raised == {name for name in overtile.__all__ if name.endswith("Error")}


@pytest.mark.parametrize("name", [name for name in overtile.__all__ if name[0].islower()])
def test_every_function_is_documented(name: str) -> None:
    text = inspect.getdoc(getattr(overtile, name)) or ""
    for part in ("Args:", "Returns:", "Raises:", "Example:", ">>> "):
        if part == "Args:" and not inspect.signature(getattr(overtile, name)).parameters:
            continue
        assert part in text, part


def test_a_stray_pipeline_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("x = 1\n")
    code = f"import sys; sys.path.append({str(ROOT)!r}); import overtile; overtile.map"
    run = _run(code, cwd=tmp_path)
    assert "ImportError: another module is called 'pipeline'" in run.stderr


def test_options_are_those_of_the_command() -> None:
    from pipeline.cli.map import map_

    parameters = set(inspect.signature(map_).parameters)
    own = {"scenes", "out", "task", "model", "aoi", "dry_run", "as_json"}
    renamed = {"truth": "reference", "truth_layer": "reference_layer", "format_": "formats"}
    expected = {renamed.get(name, name) for name in parameters - own}
    assert {field.name for field in fields(overtile.MapOptions)} == expected


def test_options_are_taken_as_the_command_takes_them() -> None:
    given = overtile.MapOptions(bands="3, 2,1", values="0,3000", formats=["gpkg"])
    assert (given.bands, given.values, given.formats) == (("3", "2", "1"), (0, 3000), ("gpkg",))
    assert hash(given)
    with pytest.raises(overtile.ConfigError, match="give two numbers"):
        overtile.MapOptions(values=(1, 2, 3))


def test_unknown_options_are_refused_with_the_list() -> None:
    with pytest.raises(overtile.ConfigError, match=r"'treshold'; did you mean 'threshold'.*clip"):
        overtile.map("scene.tif", options={"treshold": 0.4})
