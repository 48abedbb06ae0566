"""What tests of scenes share: files on disk, and a web server on the loopback interface."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from pipeline.scenes.guard import install_guard


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of tests that read the shared data."""
    config.addinivalue_line("markers", "data: reads ../shared/data, skipped where it is absent")


@pytest.fixture(autouse=True)
def _guarded() -> None:
    install_guard()


@pytest.fixture
def geotiff(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes pixels as a GeoTIFF in UTM 33 N, 0.5 m."""

    def write(pixels: np.ndarray, name: str = "scene.tif", **profile: object) -> Path:
        path = tmp_path / name
        settings = {
            "driver": "GTiff",
            "count": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": pixels.dtype,
            "crs": "EPSG:32633",
            "transform": from_origin(500_000, 5_500_000, 0.5, 0.5),
        }
        with rasterio.open(path, "w", **(settings | profile)) as file:
            file.write(pixels)
        return path

    return write


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a web server that does what the test asks of it."""
    with serving() as running:
        yield running


@dataclass
class Site:
    """What the server holds and how it behaves; tests change it while it runs."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Content by path."""
    status: dict[str, int] = field(default_factory=dict)
    """Answer these paths with this status."""
    stall_after: int | None = None
    """Send this many bytes of every body, then nothing for a while."""
    asked: list[str] = field(default_factory=list)
    """Requests so far: method, path, range."""
    port: int = 0
    """Where it listens."""

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_HEAD(self) -> None:  # noqa: N802
            self._answer(body=False)

        def do_GET(self) -> None:  # noqa: N802
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            site.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
            content = site.files.get(path)
            status = site.status.get(path, 200 if content is not None else 404)
            if status >= 400 or content is None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, stop = 0, len(content)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted:
                start, stop = int(wanted[1]), min(int(wanted[2] or stop) + 1, stop)
                status = 206
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')  # noqa: S324
            self.send_header("Content-Length", str(stop - start))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            if site.stall_after is not None:
                self.wfile.write(content[start : start + site.stall_after])
                self.wfile.flush()
                time.sleep(8)
                return
            self.wfile.write(content[start:stop])

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is part of the test."""

    server = Quiet(("127.0.0.1", 0), Handler)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
