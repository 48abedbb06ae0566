"""No credential is left in a text, whatever it consists of; hosts and paths stay readable."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.core.redaction import (
    credentials_of,
    place_of,
    redact,
    redact_values,
    without_credentials,
)

PLAIN = "Zq9w7Xk2"
"""A secret that is in no text but where it is planted."""
secrets = st.text(min_size=4, max_size=30)
solid = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=4, max_size=30)
words = st.text("abcxyz019", min_size=1, max_size=8)
hosts = st.builds(
    "{}.{}{}".format, words, words, st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))
)
paths = st.lists(st.text("abXY09_.,=+-", min_size=1, max_size=8), min_size=1, max_size=4).map(
    "/".join
)
schemes = st.sampled_from(
    ["https", "http", "s3", "gs", "postgresql", "postgresql+psycopg", "tcp", "tls", "amqp"]
)
URLS = (
    "{scheme}://me:{secret}@{host}/{path}",
    "{scheme}://{secret}@{host}/{path}",
    "{scheme}://{secret}:pw@{host}/{path}",
    "{scheme}://{host}/{path}?sig={secret}",
    "{scheme}://{host}/{path}?user=me&password={secret}",
    "{scheme}://me@{host}/{path}?{secret}",
    "{scheme}://{host}/{path}#access={secret}",
)
RAW = (URLS[0], *URLS[3:5])
MESSAGES = (
    "{}",
    "{}: the server answers with HTTP status 403; check that it may be read",
    "cannot read '{}' (and 2 more)",
    '{{"href": "{}", "rel": "next"}}',
    "https://one:two@example.org/a?b=c and {}, twice",
)


def _built(form: str, **parts: str) -> str:
    return form.format(**parts)


@given(
    form=st.sampled_from(URLS),
    scheme=schemes,
    host=hosts,
    path=paths,
    secret=secrets,
    message=st.sampled_from(MESSAGES),
)
def test_encoded_secrets_of_urls_are_hidden_and_hosts_and_paths_are_kept(
    form: str, scheme: str, host: str, path: str, secret: str, message: str
) -> None:
    parts = {"scheme": scheme, "host": host, "path": path}
    skeleton = redact(message.format(_built(form, secret=PLAIN, **parts)))
    assert PLAIN not in skeleton
    assert f"{host}/{path}" in skeleton
    assume(secret not in skeleton)
    raw = secret.encode("utf-8", "surrogatepass")
    for spelt in (quote(raw, safe=""), quote_plus(raw)):
        shown = redact(message.format(_built(form, secret=spelt, **parts)))
        assert shown == skeleton
        assert redact(shown) == shown


@given(form=st.sampled_from(RAW), scheme=schemes, host=hosts, path=paths, secret=secrets)
@example(form=URLS[0], scheme="https", host="a.b", path="c", secret="p@ss:w/o?r#d")
@example(form=URLS[0], scheme="https", host="a.b:80", path="c", secret="0/00@x")
@example(form=URLS[0], scheme="postgresql", host="a.b", path="c", secret="123 4@5\n6")
@example(form=URLS[3], scheme="s3", host="a.b", path="c", secret=" '\"x")
def test_secrets_that_are_not_encoded_are_hidden_too(
    form: str, scheme: str, host: str, path: str, secret: str
) -> None:
    parts = {"scheme": scheme, "host": host, "path": path}
    assume(secret not in redact(_built(form, secret=PLAIN, **parts)))
    assume("://" not in secret)
    # "https://host: reason" looks the same, and is read more often.
    assume(not (form == URLS[0] and secret[0].isspace()))
    # Nor is what ends before white space, or a line that ends in a port: the URL ends there.
    assume(not secret[-1].isspace() and re.match(r"\d*[\r\n]", secret) is None)
    assert secret not in redact(_built(form, secret=secret, **parts))


@given(
    form=st.sampled_from(RAW),
    scheme=schemes,
    host=hosts,
    secret=solid,
    message=st.sampled_from(MESSAGES),
)
def test_so_they_are_within_a_message(
    form: str, scheme: str, host: str, secret: str, message: str
) -> None:
    parts = {"scheme": scheme, "host": host, "path": "a/b.tif"}
    assume(secret not in redact(message.format(_built(form, secret=PLAIN, **parts))))
    assume("://" not in secret)
    assert secret not in redact(message.format(_built(form, secret=secret, **parts)))


@given(secret=secrets, name=st.sampled_from(["password", "sslpassword", "passphrase", "PWD"]))
def test_passwords_of_connection_strings_are_hidden(secret: str, name: str) -> None:
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    form = "host=db.example.org {}='{}' dbname=maps: no"
    skeleton = redact(form.format(name, PLAIN))
    assert skeleton == f"host=db.example.org {name}='***' dbname=maps: no"
    assert redact(form.format(name, escaped)) == skeleton


@given(secret=secrets)
def test_values_that_are_known_are_hidden_however_they_stand(secret: str) -> None:
    raw = secret.encode("utf-8", "surrogatepass")
    texts = [f"no {secret} here", f"no {quote(raw, safe='')}", repr({"a": secret})]
    texts += [json.dumps([secret]), f"port '{secret}'", quote_plus(raw)]
    for text in texts:
        skeleton = redact(text.replace(secret, PLAIN), secrets=[PLAIN])
        assume(secret not in skeleton)
        assert secret not in redact(text, secrets=[secret])


@pytest.mark.parametrize(
    "text",
    [
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={PLAIN}+/==;Suffix=core",
        f"BlobEndpoint=https://a.example.org/;SharedAccessSignature=sv=2022&sig={PLAIN}",
        f"Authorization: Basic {base64.b64encode(PLAIN.encode()).decode()} {PLAIN}",
        f"{{'Authorization': 'Bearer {PLAIN}', 'Accept': '*/*'}}",
        f'headers={{"X-Api-Key": "{PLAIN}"}}',
        f"Proxy-Authorization: {PLAIN}",
        f"Cookie: session={PLAIN}; a=b",
        f"AWS_SECRET_ACCESS_KEY={PLAIN} AWS_REGION=eu",
        f"environ({{'AWS_SESSION_TOKEN': '{PLAIN}', 'HOME': '/root'}})",
        f"environ({{'HTTPS_PROXY': 'http://me:{PLAIN}@proxy:3128'}})",
        f"GDAL_HTTP_USERPWD=me:{PLAIN}",
        f"with url: /a/b.tif?X-Amz-Signature={PLAIN}&x=1 (Caused by",
        f"/vsicurl?header.Authorization={PLAIN}&url=https%3A%2F%2Fhost%2Fa",
        f"next=https%3A%2F%2Fme%3A{PLAIN}%40host%2Fa",
        f"https:/me:{PLAIN}@host/a.tif does not exist",
        f"me:{PLAIN}@host:5432/db",
        f"--executor 'https//me:{PLAIN}@host' is none of serial, local",
        f"//me:{PLAIN}@host/x",
        f"tls://me:{PLAIN}@host:8786: no scheduler",
        f"user={PLAIN} host=x",
        f'FATAL:  password authentication failed for user "{PLAIN}"',
        f"Traceback: ValueError: Invalid IPv6 URL 'http://me:{PLAIN}@[bad/x'",
        f"https://me:{PLAIN}",
        f"token: {PLAIN}",
        f"url = 's3://KEY:{PLAIN}@bucket/key'",
    ],
)
def test_secrets_are_found_by_what_stands_around_them(text: str) -> None:
    shown = redact(text)
    assert PLAIN not in shown
    assert base64.b64encode(PLAIN.encode()).decode() not in shown
    assert "***" in shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://host.example.org:8443/a/b.tif: the server answers with HTTP status 404; check",
        "http://127.0.0.1:8080/x.tif, http://[::1]:80/y.tif",
        "--executor 'x' is none of serial, local, tcp://HOST:PORT",
        "write it as postgresql://USER@HOST:PORT/DATABASE, with %-codes",
        "https://host/tiles/a@2x.png",
        "https://host/x: failed; mail me@example.com",
        "/data/year=2024/cell=E085.25_N27.50/a?b.tif: truncated",
        "PostgreSQL at 127.0.0.1:5432/maps: another writer held it for 60 s",
        "inproc://192.168.0.3/12/1",
        "password authentication failed",
        "it holds the results of another plan (other scene, threshold); choose another --out",
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY=/tls/node.key",
        "12:30 to 13:00; did you mean a.tif? --values 0,3000",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(text=st.text(max_size=80))
def test_any_text_can_be_redacted_and_again(text: str) -> None:
    assert isinstance(redact(text), str)
    assert isinstance(without_credentials(f"https://{text}"), str)
    assert isinstance(place_of(f"https://{text}"), str)
    assert isinstance(credentials_of(f"https://{text}"), tuple)


def test_values_are_redacted_at_any_depth() -> None:
    href = "https://me:hush@host/a?sig=hush"
    found = redact_values({"a": [href, 1, None, {"b": (href, 2.5)}], href: True})
    clean = "https://***@host/a?***"
    assert found == {"a": [clean, 1, None, {"b": [clean, 2.5]}], clean: True}


def test_a_url_is_known_again_when_its_signature_is_renewed() -> None:
    first = "https://me:one@host/get.tif?id=7&sv=2022-11-02&se=2024-01-01T00%3A00Z&sr=b&sig=one"
    later = "https://you:two@host/get.tif?sig=two&sv=2023-01-01&id=7&se=2025-01-01T00%3A00Z#x"
    assert place_of(first) == place_of(later) == "https://host/get.tif?id=7"
    aws = "https://h/a.tif?X-Amz-Algorithm=A&X-Amz-Credential=B&X-Amz-Date=C&X-Amz-Signature=D"
    assert place_of(aws) == place_of(aws.replace("D", "E")) == "https://h/a.tif"
    assert place_of("/data/a?sig=1.tif") == "/data/a?sig=1.tif"
    assert place_of(first) != place_of(first.replace("id=7", "id=8"))


def test_urls_lose_what_is_no_place() -> None:
    assert without_credentials("https://me:p/w?x@host/a.tif?sig=1#x") == "https://host/a.tif"
    assert without_credentials("s3://KEY:a/b+c@bucket/key.tif") == "s3://bucket/key.tif"
    assert without_credentials("/data/a?b.tif") == "/data/a?b.tif"
    assert credentials_of("postgresql://me:p%40@h/db?password=a%20b") == (
        *("me", "p%40", "p@"),
        *("a%20b", "a b"),
    )
