"""Certificates for a cluster over TLS: found in Dask's settings, tried before the first task."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import dask
from distributed.security import Security

from pipeline.core.redaction import redact
from pipeline.errors import ConfigError

_SETTING = "distributed.comm.tls"
_LOADER = "distributed.client.security-loader"
"""Where this is set, a function of the operator's own brings the certificates."""
_NEEDED = ("ca-file", "client.cert", "client.key")
_ANSWER_S = 5
"""A scheduler sends the first message, at once."""


def security_for(address: str) -> Security | None:
    """Return what proves a client to a scheduler, None to leave it to Dask.

    Args:
        address: The scheduler's: ``tls://HOST:PORT`` asks for TLS.

    Raises:
        ConfigError: A certificate is missing, cannot be read, or one side refuses the other's.
    """
    if not address.startswith("tls://") or dask.config.get(_LOADER, None):
        return None
    files = {name: dask.config.get(f"{_SETTING}.{name}", None) for name in _NEEDED}
    missing = [_variable(name) for name, path in files.items() if not path]
    if missing:
        raise ConfigError(
            f"--executor {redact(address)}: TLS needs certificates; set {', '.join(missing)} "
            "to files in PEM format (see workflows/README.md)"
        )
    security = Security()
    try:
        context = security.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        shown = ", ".join(f"{_variable(name)}={path}" for name, path in files.items())
        raise ConfigError(
            f"--executor {redact(address)}: these are no certificates to use: {shown} ({error}); "
            "the key must be the certificate's, both in PEM format"
        ) from error
    _greet(address, context, files)
    return security


def _greet(address: str, context: ssl.SSLContext, files: dict[str, str]) -> None:
    """Shake hands once, because Dask tries again and again what one side refuses.

    Raises:
        ConfigError: One side refuses the other.
    """
    try:
        where = urlsplit(address)
        host, port = where.hostname, where.port
    except ValueError:
        return  # no address: Dask reports it
    if host is None or port is None:
        return
    try:
        with (
            socket.create_connection((host, port), timeout=_ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            # With TLS 1.3 a client learns of a refusal only when it reads.
            secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(
            f"--executor {redact(address)}: the scheduler's certificate is not signed by "
            f"{files['ca-file']} ({error.verify_message}); name the authority that signed it"
        ) from error
    except ssl.SSLError as error:
        if error.reason is not None and "ALERT" in error.reason:
            raise ConfigError(
                f"--executor {redact(address)}: the scheduler refuses {files['client.cert']} "
                f"({error.reason}); use a certificate that its authority signed"
            ) from error
        raise ConfigError(
            f"--executor {redact(address)}: no TLS is spoken there ({error.reason}); start the "
            "scheduler with --protocol tls, or give its tcp:// address"
        ) from error
    except OSError:
        return  # nobody there yet: Dask waits, and reports it


def _variable(name: str) -> str:
    setting = f"{_SETTING}.{name}".removeprefix("distributed.")
    return f"DASK_DISTRIBUTED__{setting.replace('.', '__').replace('-', '_').upper()}"
