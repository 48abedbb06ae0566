"""Names of scenes are safe as folders, tell scenes apart and hide secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scenes.names import redacted, slug, stem, unique
from pipeline.scenes.scene import SceneRef


@given(text=st.text(max_size=300))
def test_a_slug_is_one_plain_part_of_a_path(text: str) -> None:
    name = slug(text)
    assert name
    assert name == slug(name)
    assert len(name.encode()) <= 100
    assert not name.startswith(".")
    assert all(letter.isalnum() or letter in "._-" for letter in name)


def test_hostile_and_reserved_names_are_harmless() -> None:
    assert slug("../../etc/passwd") == "etc_passwd"
    assert slug("CON").startswith("scene_")
    assert slug("aux.tif").startswith("scene_")
    assert slug("\0").startswith("scene_")
    assert slug("x" * 300) != slug("x" * 299)
    assert slug("naïve náme (копия)") == "naïve_náme_копия"


@given(names=st.lists(st.sampled_from(["a", "A", "b", "c"]), max_size=8))
def test_unique_names_differ_whatever_the_case(names: list[str]) -> None:
    places = [f"/folder{number}/{name}" for number, name in enumerate(names)]
    found = unique(names, places)
    assert len({name.casefold() for name in found}) == len(found)
    alone = [name for name in names if [n.casefold() for n in names].count(name.casefold()) == 1]
    assert set(alone) <= set(found)


def test_urls_lose_user_password_query_and_fragment() -> None:
    assert redacted("https://me:pw@host/a.tif?sig=1#x") == "https://host/a.tif"
    assert redacted("/data/a?b.tif") == "/data/a?b.tif"


def test_a_stem_is_the_files_or_the_items() -> None:
    assert stem(SceneRef(kind="geotiff", href="/a/b.c.tif")) == "b.c"
    assert stem(SceneRef(kind="geotiff", href="https://h/a/b%20c.tif?x=/y.tif")) == "b c"
    assert stem(SceneRef(kind="geotiff", href="/a/b.tif", options=(("name", "item"),))) == "item"
