"""The status page on loopback, read only."""

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
_METHODS = "GET, HEAD"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
Rows = Callable[[], list[dict[str, Any]]]


@contextmanager
def serving_page(port: int, *, rows: Rows, html: Callable[[list[Any]], str]) -> Iterator[int]:
    """Serve ``/`` and ``/status.json`` on loopback to GET and HEAD; lend the port.

    Args:
        port: 0: any that is free.
        rows: How regions stand.
        html: A page of that.

    Raises:
        ConfigError: The port is taken.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(rows, html))
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


def _handler(rows: Rows, html: Callable[[list[Any]], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        def do_GET(self) -> None:
            # Another site's name that leads to this machine must not read the page.
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in (HOST, "localhost"):
                self.answer(HTTPStatus.FORBIDDEN, "text/plain", f"ask for {HOST}\n")
            elif self.path == "/":
                self.answer(HTTPStatus.OK, "text/html", html(rows()))
            elif self.path == "/status.json":
                text = json.dumps(rows(), indent=2, ensure_ascii=False) + "\n"
                self.answer(HTTPStatus.OK, "application/json", text)
            else:
                self.answer(HTTPStatus.NOT_FOUND, "text/plain", "/ and /status.json\n")

        def do_HEAD(self) -> None:
            self.do_GET()

    return Handler


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    server_version, sys_version = "overtile", ""

    def answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode("utf-8", "replace")
        self.send_response(status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", _METHODS)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, *_: object) -> None:
        """Answer what the library refuses, such as a method that is not defined (501)."""
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        self.request_version = self.protocol_version  # with headers, also where none was given
        self.answer(status, "text/plain", f"{status.phrase}\n")

    def log_message(self, *_: object) -> None:
        pass
