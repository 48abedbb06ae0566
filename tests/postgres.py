"""A PostgreSQL of Debian's packages, started for the tests in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

PASSWORD = "s3cret:p@ss/w%rd"  # not fit for a URL as it is
_QUOTED = "s3cret%3Ap%40ss%2Fw%25rd"
_TEMPLATE = "with_postgis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server; its owner is ``overtile``."""

    port: int
    """On 127.0.0.1."""
    folder: Path
    """Where its socket and its data lie."""

    def url(self, database: str) -> str:
        """Return how a database is reached, password and all."""
        return f"postgresql://overtile:{_QUOTED}@127.0.0.1:{self.port}/{database}"

    def database(self, *, template: str = "template1") -> str:
        """Make a new database and return its URL."""
        name = f"t_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())


def _binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, the newest version's."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _owner() -> str | None:
    """Return the user that the server runs as; the server refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def _running() -> Iterator[Server]:
    pytest.importorskip("psycopg")
    binaries, owner = _binaries(), _owner()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Short, for the socket's name; open to the server's user, which pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["-U", "overtile", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", *options, "--no-locale", "--no-sync"],
            user=owner,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "30",
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    binaries / "postgres",
                    *("-D", folder / "data", "-p", str(port)),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                user=owner,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            yield _ready(Server(port=port, folder=folder), process)
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ready(server: Server, process: subprocess.Popen[bytes]) -> Server:
    import psycopg

    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError((server.folder / "log").read_text())
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return server
    raise TimeoutError((server.folder / "log").read_text())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for the whole session; ``postgres.database()`` gives the URL of an empty one."""
    with _running() as server:
        yield server


@pytest.fixture(scope="session")
def _postgis(postgres: Server) -> Server:
    import psycopg

    with psycopg.connect(postgres.url("postgres")) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'"
        ).fetchone()
    if found is None:
        pytest.skip("PostGIS is not installed: apt-get install postgresql-postgis")
    postgres.execute(f"CREATE DATABASE {_TEMPLATE}")
    postgres.execute("CREATE EXTENSION postgis", database=_TEMPLATE)
    return postgres


@pytest.fixture
def postgis(_postgis: Server) -> str:
    """URL of a new database with PostGIS."""
    return _postgis.database(template=_TEMPLATE)
