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

from pipeline.gdal.raster_guard import install_guard


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
    sent_on: dict[str, str] = field(default_factory=dict)
    """Send on from these paths to that URL."""
    stall_after: int | None = None
    """Send this many bytes of every body, then nothing for a while."""
    asked: list[str] = field(default_factory=list)
    """Requests so far: method, path, range."""
    port: int = 0
    """Where it listens."""

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests as a site says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            """Answer without the body."""
            self._answer()

        def do_GET(self) -> None:
            """Answer with the body, or a range of it."""
            found = self._answer()
            if found is None:
                return
            if site.stall_after is not None:
                self.wfile.write(found[: site.stall_after])
                self.wfile.flush()
                time.sleep(8)
                return
            self.wfile.write(found)

        def _answer(self) -> bytes | None:
            path, wanted = self.path.partition("?")[0], self.headers.get("Range", "")
            site.asked.append(f"{self.command} {self.path} {wanted}")
            content = site.files.get(path)
            status = site.status.get(path, 404 if content is None else 200)
            status = 302 if path in site.sent_on else status
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
            start, stop = 0, len(content or b"")
            if span:
                start, stop = int(span[1]), min(int(span[2] or stop) + 1, stop)
                status = 206 if status == 200 else status
            if content is None or status >= 300 or start >= len(content):
                self.send_response(status if status >= 300 else 416)
                self.send_header("Location", site.sent_on.get(path, ""))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(stop - start))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.end_headers()
            return content[start:stop]

    return Handler


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site until the block ends."""
    site = Site()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is part of the test."""

    server = Quiet(("127.0.0.1", 0), _handler(site))
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
