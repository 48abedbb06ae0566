"""What is planted as a credential comes out nowhere, whatever fails: output, files, ledgers, pages.

Each command runs in this process, so that the environment is the test's; what it writes is taken
from the file descriptors, C libraries included.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from pipeline.cli.__main__ import main
from pipeline.cli.streams import RedactedStream, environment_secrets
from pipeline.errors import ConfigError
from pipeline.executors.dask import Dask
from pipeline.gdal import bindings as gdal
from pipeline.gdal.raster_guard import install_guard
from pipeline.regions.ledger.ledger import NAME, open_ledger
from tests.mapping.scenery import blobs, write_scene
from tests.postgres import Server
from tests.regions.places import town
from tests.scenes.conftest import Site, serving

NOWHERE = "https://{user}:{pw}@no-such-host.invalid/a/b.tif?sv=2022&sig={sig}"
NAMES = (
    *("user", "pw", "sig", "bearer", "aws", "session", "proxy", "redirect", "item", "executor"),
    *("ledger", "query", "sink", "catalog", "api"),
)


@dataclass
class Planted:
    """Secrets by what they are, and all that commands have put out."""

    words: dict[str, str]
    """The secrets, each in no other place."""
    capture: pytest.CaptureFixture[str]
    """What takes both streams."""
    heard: list[str] = field(default_factory=list)
    """What was written to them."""

    def quoted(self) -> dict[str, str]:
        """Return the secrets as they stand in URLs."""
        return {name: quote(word, safe="") for name, word in self.words.items()}

    def url(self, form: str) -> str:
        """Return a URL with secrets in it."""
        return form.format_map(self.quoted())

    def overtile(self, *arguments: str | Path) -> int:
        """Run a command and return its exit code."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["overtile", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        told = self.capture.readouterr()
        self.heard += [told.out, told.err]
        assert told.out or told.err
        return int(ended.value.code or 0)

    def leaks(self, *folders: Path) -> list[str]:
        """Return which secrets stand where, in any spelling."""
        texts = {f"output {at}": text.encode() for at, text in enumerate(self.heard)}
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        texts |= {str(path): path.read_bytes() for path in files}
        return [
            f"{name} in {where}"
            for where, content in texts.items()
            for name, word in self.words.items()
            if any(one.encode() in content for one in _spellings(word))
        ]


def _spellings(word: str) -> set[str]:
    return {word, quote(word, safe=""), quote(word), quote_plus(word), json.dumps(word)[1:-1]}


@pytest.fixture
def planted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planted]:
    """Plant secrets in the environment, and let what fails fail at once."""
    made = Planted({name: f"zQ{name}@7/x:{at}?#ü'" for at, name in enumerate(NAMES)}, capfd)
    # Names of AWS are no text with signs.
    made.words |= {"aws": "zQawsKey7/x+9", "session": "zQsessionToken77", "bearer": "zQbearer.7_x"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAZQ7ZQ7ZQ7ZQ7ZQ7Z")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made.words["aws"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", made.words["session"])
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    gdal.configure_raster_gdal("GDAL_HTTP_MAX_RETRY", "0")
    yield made
    gdal.configure_raster_gdal("GDAL_HTTP_MAX_RETRY", "4")


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve on loopback."""
    with serving() as running:
        yield running


def _scenes(planted: Planted, site: Site, folder: Path) -> list[str]:
    """Return URLs that fail, each in its own way, and one that does not."""
    scene = write_scene(folder / "good.tif", blobs(3, height=40, width=50)[None])
    site.files["/good.tif"] = scene.read_bytes()
    site.files["/broken.tif"] = b"II*\0 no picture"
    site.status |= {"/forbidden.tif": 403, "/failing.tif": 500}
    site.sent_on["/away.tif"] = planted.url("http://{user}:{redirect}@localhost:1/x?sig={redirect}")
    here = f"http://{{user}}:{{pw}}@127.0.0.1:{site.port}"
    names = ("good", "none", "forbidden", "failing", "away", "broken")
    item = {
        "type": "Feature",
        "id": "item",
        "assets": {
            "visual": {
                "type": "image/tiff",
                "href": planted.url("https://x:{item}@h.invalid/a.tif"),
            },
            "data": {"type": "image/tiff", "href": planted.url("https://h.invalid/a.tif?s={item}")},
        },
    }
    (folder / "item.json").write_text(json.dumps(item))
    item["assets"] = {"data": {"type": "image/tiff", "href": planted.url("ftp://x:{item}@h/a.tif")}}
    (folder / "bad.json").write_text(json.dumps(item))
    return [
        *(planted.url(f"{here}/{name}.tif?sv=2022-11-02&sig={{sig}}") for name in names),
        planted.url(NOWHERE),
        planted.url("http://{user}:{pw}@127.0.0.1:1/a.tif?sig={sig}"),
        planted.url("http://{user}:{pw}@[bad/a.tif?sig={sig}"),
        planted.url("s3://{user}:{pw}@no-such-bucket-zq/a.tif?X-Amz-Signature={sig}"),
        planted.url("https://h.invalid/item.json?sig={sig}"),
        str(folder / "item.json"),
        str(folder / "bad.json"),
    ]


MAP = ("--task", "bright", "--executor", "serial", "--device", "cpu")


def test_mapping_what_fails_tells_no_secret(planted: Planted, site: Site, tmp_path: Path) -> None:
    monkey = pytest.MonkeyPatch()
    monkey.setenv("AWS_ENDPOINT_URL", f"127.0.0.1:{site.port}")
    gdal.configure_raster_gdal("AWS_S3_ENDPOINT", f"127.0.0.1:{site.port}")
    gdal.configure_raster_gdal("AWS_HTTPS", "NO")
    (tmp_path / "in").mkdir()
    scenes, out = _scenes(planted, site, tmp_path / "in"), tmp_path / "out"
    try:
        assert planted.overtile("map", *scenes, "--out", out, *MAP, "--dry-run") == 3
        assert planted.overtile("map", *scenes, "--out", out, *MAP) == 3
    finally:
        monkey.undo()
        for name in ("AWS_S3_ENDPOINT", "AWS_HTTPS"):
            gdal.raster_library().CPLSetConfigOption(name.encode(), None)
    rows = json.loads(planted.heard[2])["scenes"]
    assert sorted(row["state"] for row in rows) == ["done", *["failed"] * 12]
    assert all(row["reason"] for row in rows if row["state"] == "failed")
    assert (out / "good" / "log.jsonl").is_file()
    assert "/good.tif" in (out / "good" / "run.json").read_text()
    given = (*MAP[:2], "--executor", planted.url("tls://{user}:{executor}@127.0.0.1:1"))
    assert planted.overtile("map", tmp_path / "in" / "good.tif", "--out", out / "2", *given) == 2
    address = planted.url("tcp://{user}:{executor}@127.0.0.1:1")
    with pytest.raises(ConfigError, match="no Dask scheduler responds there") as refused:
        Dask.connect(address, setup=install_guard, connect_s=0.2)
    planted.heard.append(str(refused.value))
    for odd in (NOWHERE.replace("https:/", "https:"), NOWHERE.replace("https", "gopher")):
        assert planted.overtile("map", planted.url(odd), "--out", out, *MAP) == 2
    assert planted.leaks(out) == []


def test_other_commands_tell_no_secret(planted: Planted, tmp_path: Path) -> None:
    url, out = planted.url(NOWHERE), tmp_path / "out"
    scene = write_scene(tmp_path / "s.tif", blobs(3, height=40, width=50)[None])
    training = tmp_path / "training.yaml"
    training.write_text(yaml.safe_dump({"model": url, "scenes": [{"image": url, "labels": url}]}))
    task = tmp_path / "task.yaml"
    task.write_text(f"name: x\nmodel: '{url}'\nthreshold: [{url!r}\n")
    commands: list[tuple[str | Path, ...]] = [
        ("evaluate", url, "--truth", tmp_path / "s.tif", "--out", out),
        ("evaluate", scene, "--truth", url, "--out", out),
        ("check", url),
        ("train", training, "--out", out),
        ("models", "show", url),
        ("models", "export", url, "--out", out / "x.onnx"),
        ("map", scene, "--out", out, "--task", task),
        ("map", scene, "--out", out, "--model", url),
        ("map", scene, "--out", out, *MAP, "--aoi", url),
        ("map", scene, "--out", out, *MAP, "--truth", url),
        ("map", scene, "--out", out, *MAP, "--executor", url.replace("://", "//")),
        ("demo", "--out", scene / planted.url("https://{user}:{pw}@h")),
        ("region", "plan", url),
        ("region", "run", url),
    ]
    for command in commands:
        assert planted.overtile(*command) in (1, 2), command
    assert planted.leaks(out) == []


def _region(planted: Planted, root: Path, site: Site) -> Path:
    """Write a region all of whose sources fail, but for one scene on disk."""
    file = town(root, scenes=1)
    here = f"http://{{user}}:{{catalog}}@127.0.0.1:{site.port}"
    sources = [
        {"type": "files", "path": "scenes"},
        {
            "type": "urls",
            "urls": [planted.url(f"{here}/none.tif?sig={{sig}}"), planted.url(NOWHERE)],
        },
        {"type": "catalog", "href": planted.url(f"{here}/none.json?sig={{catalog}}")},
        {"type": "catalog", "href": planted.url(f"{here}/odd.json?sig={{catalog}}")},
        {
            "type": "api",
            "url": planted.url("http://x:{api}@127.0.0.1:1/?k={api}"),
            "collections": ["c"],
        },
        {"type": "api", "url": planted.url(f"{here}/none/?k={{api}}"), "collections": ["c"]},
        {
            "type": "api",
            "url": planted.url("http://x:{api}@h.invalid:9x/?k={api}"),
            "collections": ["c"],
        },
    ]
    links = [{"rel": "item", "href": planted.url("https://x:{item}@h.invalid/i.json?s={item}")}]
    links += [{"rel": "item", "href": planted.url("http://[{item}/i.json?s={item}")}]
    site.files["/odd.json"] = json.dumps({"type": "Catalog", "links": links}).encode()
    more = {
        "sources": sources,
        "ledger_env": "TOWN_LEDGER",
        "sinks": [{"type": "postgis", "url_env": "TOWN_SINK", "table": "town"}],
        "schedule": {"cron": "30 2 * * *"},
    }
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | more))
    return file


def _commands(planted: Planted, file: Path) -> Callable[[], list[int]]:
    """Return what runs every command of a region."""

    def run() -> list[int]:
        return [
            planted.overtile("region", *arguments)
            for arguments in (
                *(("plan", file), ("run", file), ("status", file), ("status", file, "--json")),
                *(("changes", file, "--out", file.parent / "changes"), ("units", file)),
                *(("units", file, "--kind", "cron"), ("run", file, "--scene", "none")),
            )
        ]

    return run


LEDGERS = (
    "postgresql://127.0.0.1:{port}/postgres?user=zQuserOfLedger&password={ledger}",
    "postgresql://{user}:{ledger}@127.0.0.1:{port}/postgres?application_name={query}",
    "postgresql://{user}:{ledger}@127.0.0.1:1/x",
    "postgresql://{user}:{ledger}@no-such-host.invalid/x",
    "postgresql://127.0.0.1:{port}/x?passwort={query}&password={ledger}",
    "postgresql://me:{raw}@127.0.0.1:{port}/x",
    "mysql://{user}:{ledger}@h/x",
    "host=127.0.0.1 password={ledger}",
    "{ledger}://h/x",
)


@pytest.mark.parametrize("form", LEDGERS)
def test_a_ledger_that_cannot_be_used_tells_no_secret(
    planted: Planted,
    site: Site,
    tmp_path: Path,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    words = planted.quoted() | {"port": str(postgres.port), "raw": planted.words["ledger"]}
    planted.words["user of the ledger"] = "zQuserOfLedger"
    monkeypatch.setenv("TOWN_LEDGER", form.format_map(words))
    monkeypatch.setenv("TOWN_SINK", planted.url("postgresql://x:{sink}@127.0.0.1:1/maps"))
    file = _region(planted, tmp_path, site)
    monkeypatch.setattr("pipeline.regions.plan.listings", lambda *_, **__: [])
    codes = _commands(planted, file)()
    assert [code == 0 for code in codes] == [False] * 5 + [True] * 2 + [False]
    assert planted.leaks(tmp_path / "out", tmp_path / "changes") == []


@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_a_region_whose_sources_and_sinks_fail_tells_no_secret(
    planted: Planted,
    site: Site,
    tmp_path: Path,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    ledger: str,
) -> None:
    file = _region(planted, tmp_path, site)
    sink = "postgresql://x:{sink}@127.0.0.1:PORT/maps?options={query}".replace(
        "PORT", str(postgres.port)
    )
    monkeypatch.setenv("TOWN_SINK", planted.url(sink))
    url = postgres.database()
    monkeypatch.setenv("TOWN_LEDGER", url)
    if ledger == "sqlite":
        file.write_text(file.read_text().replace("ledger_env: TOWN_LEDGER\n", ""))
    codes = _commands(planted, file)()
    assert codes == [3, 3, 0, 0, 2, 0, 0, 2]
    out = tmp_path / "out"
    assert "postgis" not in planted.heard[1]
    if ledger == "postgresql":
        rows = open_ledger(out, region="town", url=url)
        with rows.engine.begin() as connection:
            for table in ("scenes", "runs", "tiles_failed", "holders", "deliveries"):
                found = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
                planted.heard.append(repr(found))
        rows.close()
    else:
        # A ledger that is not closed has what it was told last beside it.
        with closing(sqlite3.connect(out / NAME)) as held:
            held.execute("BEGIN")
            assert held.execute("SELECT count(*) FROM scenes").fetchone()[0] > 1
            assert planted.overtile("region", "run", file) == 3
            assert planted.leaks(out) == []
    assert any("report.html" in str(path) for path in out.iterdir())
    assert planted.leaks(out, tmp_path / "changes") == []


def test_a_ledger_that_holds_secrets_of_an_earlier_version_shows_none(
    planted: Planted, tmp_path: Path
) -> None:
    file = town(tmp_path, scenes=1)
    out = tmp_path / "out"
    out.mkdir()
    open_ledger(out, region="town").close()
    told = f"cannot connect to {planted.url('postgresql://h/x?password={ledger}')}"
    with closing(sqlite3.connect(out / NAME)) as old:
        old.execute(
            "INSERT INTO scenes (region, scene, source, state, attempts, reason) "
            "VALUES ('town', 'a', 's', 'failed', 1, ?)",
            (told,),
        )
        old.execute(
            "INSERT INTO runs (region, run, state, holder, began_at, summary) "
            "VALUES ('town', 1, 'failed', 'me', 1, ?)",
            (json.dumps({"reason": told, "faults": [told]}),),
        )
        old.commit()
    assert planted.overtile("region", "status", file) == 0
    assert "cannot connect to postgresql://h/x?***" in planted.heard[-2]
    assert planted.overtile("region", "run", file) == 0
    planted.heard.append((out / "report.html").read_text("utf-8"))
    assert planted.leaks() == []


def test_errors_that_nobody_expected_and_warnings_are_redacted_too(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        sys.stderr.write(planted.url(NOWHERE) + "\n")  # as warnings and logs do
        environment = {"AWS_SECRET_ACCESS_KEY": planted.words["aws"], "x": planted.url(NOWHERE)}
        cause = ValueError(planted.url("http://u:{proxy}@proxy:3128"))
        header = f"Authorization: Bearer {planted.words['bearer']}"
        raise RuntimeError(f"{environment} {header}") from cause

    monkeypatch.setenv("HTTPS_PROXY", planted.url("http://u:{proxy}@proxy:3128"))
    monkeypatch.setattr("pipeline.mapping.run.map_scenes", fails)
    scene = write_scene(tmp_path / "s.tif", blobs(3, height=40, width=50)[None])
    assert planted.overtile("map", scene, "--out", tmp_path / "out") == 1
    told = planted.heard[-1]
    assert "Traceback" in told
    assert "https://***@no-such-host.invalid/a/b.tif?***\n" in told
    assert planted.leaks() == []


def test_a_mistake_in_the_command_tells_no_secret(planted: Planted) -> None:
    planted.overtile("region", "plan", "a.yaml", planted.url("s3://k:{pw}@b/c"))
    assert "unexpected" in planted.heard[-1]
    assert planted.leaks() == []


def test_a_line_is_passed_on_whole_and_what_waits_with_a_flush(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = RedactedStream(sys.stderr, ("hush",))
    for part in ("https://me:", "pw@host/a\nand", " hu", "sh"):
        stream.write(part)
    assert capsys.readouterr().err == "https://***@host/a\n"
    stream.flush()
    assert capsys.readouterr().err == "and ***"


def test_the_environments_secrets_are_known_by_name_and_by_form() -> None:
    found = environment_secrets(
        {
            "AWS_SECRET_ACCESS_KEY": "abcdefgh",
            "PGPASSWORD": "hunter22",
            "HTTPS_PROXY": "http://me:p%40ssword@proxy:1",
            "TOWN": "postgresql://overtile@h/x?password=quite%20secret",
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": "/tls/node.key",
            "SHORT_TOKEN": "abc",
            "HOME": "/root",
        }
    )
    assert {"abcdefgh", "hunter22", "p@ssword", "quite secret"} <= set(found)
    assert not {"overtile", "/tls/node.key", "abc", "/root", "me"} & set(found)
