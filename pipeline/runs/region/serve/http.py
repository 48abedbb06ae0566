"""The status page on loopback: read only, for who is on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import ConfigError

HOST = "127.0.0.1"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@contextmanager
def serving_page(
    port: int, *, rows: Callable[[], list[dict[str, Any]]], html: Callable[[list[Any]], str]
) -> Iterator[int]:
    """Serve ``/`` and ``/status.json`` on loopback; lend the port.

    Args:
        port: 0: any that is free.
        rows: How regions stand.
        html: A page of that.

    Raises:
        ConfigError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version, sys_version = "overtile", ""

        def do_GET(self) -> None:
            # Another site's name that leads to this machine must not read the page.
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in (HOST, "localhost"):
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", f"ask for {HOST}\n")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, "text/html", html(rows()))
            elif self.path == "/status.json":
                text = json.dumps(rows(), indent=2, ensure_ascii=False) + "\n"
                self._answer(HTTPStatus.OK, "application/json", text)
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "/ and /status.json\n")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            content = text.encode("utf-8", "replace")
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--port {port}: cannot be used ({error}); give another one") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
