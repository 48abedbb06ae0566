"""Each page of the docs begins with commands that run, and all links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
LONG = ("demo",)
"""Commands that take longer than a few seconds."""


def commands(page: Path) -> list[list[str]]:
    """Return the commands of a page's first block, without comments."""
    found = _BLOCK.search(page.read_text("utf-8"))
    assert found is not None, f"{page.name} holds no command"
    lines = [shlex.split(line, comments=True) for line in found[1].splitlines()]
    return [words for words in lines if words]


def _run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program, *rest = words
    programs = {
        "overtile": [sys.executable, "-m", "pipeline"],
        "python": [sys.executable],
        "lint-imports": [str(Path(sys.executable).with_name("lint-imports"))],
    }
    rest = [str(folder / word) if word.startswith("out/") else word for word in rest]
    return subprocess.run(
        [*programs[program], *rest], cwd=ROOT, capture_output=True, text=True, timeout=280
    )


CASES = [(page.name, words) for page in PAGES for words in commands(page)]
QUICK = [case for case in CASES if case[1][1] not in LONG]
SLOW = [case for case in CASES if case[1][1] in LONG]


@pytest.mark.parametrize(("page", "words"), QUICK, ids=lambda one: str(one)[:40])
def test_the_commands_that_a_page_begins_with_run(
    page: str, words: list[str], tmp_path: Path
) -> None:
    ran = _run(words, tmp_path)
    assert ran.returncode == 0, f"{page}: {ran.stderr[-2000:]}"
    assert ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("page", "words"), SLOW[:1], ids=lambda one: str(one)[:40])
def test_the_demo_of_the_pages_runs(page: str, words: list[str], tmp_path: Path) -> None:
    ran = _run(words, tmp_path)
    assert ran.returncode == 0, f"{page}: {ran.stderr[-2000:]}"


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "workflows" / "README.md"],
    ids=lambda path: path.name,
)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for href in _LINK.findall(page.read_text("utf-8")):
        if "://" not in href:
            assert (page.parent / href).exists(), f"{page.name} links to {href}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_test_files_that_the_docs_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`(tests/[\w/.]+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.slow
def test_the_pages_are_built_with_all_links(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict", "-q"),
            *("-f", "docs/mkdocs.yml", "-d", str(tmp_path / "pages")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    assert "overtile" in (tmp_path / "pages" / "api.html").read_text("utf-8").lower()
