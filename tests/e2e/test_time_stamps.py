"""The time-stamp authority through the public door, with openssl as the client, on the whole platform."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.platform import TestPlatform
from tests.support.tsa_world import openssl_query, openssl_text, openssl_verify
from tests.support.world import until

TYPE = {"Content-Type": "application/timestamp-query"}
LIMIT = 16 * 1024


@pytest.fixture
def http(platform: TestPlatform) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=platform.url, timeout=60, trust_env=False) as client:
        yield client


def stamped(http: httpx.Client, query: bytes) -> bytes:
    """Ask until the unit has its certificate: a platform that has just started may not have it yet."""

    def ask() -> bytes | None:
        answer = http.post("/pki/tsa", content=query, headers=TYPE)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/timestamp-reply"
        return None if b"no time-stamp can be made now" in answer.content else answer.content

    return until("a time-stamp", ask)


def anchors(http: httpx.Client, folder: Path) -> bytes:
    """Return root and issuing CA as PEM, as anybody can fetch them."""
    found = b""
    for ca in ("root", "issuing"):
        der = http.get(f"/pki/aia/{ca}.cer").content
        command = ["openssl", "x509", "-inform", "DER"]
        found += subprocess.run(command, input=der, capture_output=True, check=True, cwd=folder).stdout
    return found


@pytest.mark.parametrize("digest", ["-sha256", "-sha384", "-sha512"])
def test_openssl_gets_a_time_stamp_and_verifies_it(http: httpx.Client, tmp_path: Path, digest: str) -> None:
    query = openssl_query(tmp_path, digest, "-cert", data="Nội dung công văn".encode())
    response = stamped(http, query)
    assert "Verification: OK" in openssl_verify(tmp_path, query, response, anchors(http, tmp_path))


def test_serial_numbers_differ(http: httpx.Client, tmp_path: Path) -> None:
    query = openssl_query(tmp_path, "-sha256")
    texts = [openssl_text(tmp_path, stamped(http, query)) for _ in range(20)]
    serials = {line for text in texts for line in text.splitlines() if line.startswith("Serial number")}
    assert len(serials) == 20


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        (("-sha1",), "unrecognized or unsupported algorithm"),
        (("-sha256", "-tspolicy", "1.2.3"), "the requested TSA policy is not supported"),
    ],
)
def test_what_gets_no_time_stamp_gets_an_answer(
    http: httpx.Client, tmp_path: Path, arguments: tuple[str, ...], failure: str
) -> None:
    text = openssl_text(tmp_path, stamped(http, openssl_query(tmp_path, *arguments)))
    assert "Status: Rejected." in text
    assert failure in text


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"0", {"Content-Type": "application/octet-stream"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"0", {}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"0" * (LIMIT + 1), TYPE, 413, "BODY_TOO_LARGE"),
    ],
)
def test_what_is_no_time_stamp_request_over_http(
    http: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = http.post("/pki/tsa", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert http.get("/pki/tsa").status_code == 405


def test_garbage_gets_the_fail_info_for_it(http: httpx.Client, tmp_path: Path) -> None:
    text = openssl_text(tmp_path, stamped(http, b"garbage"))
    assert "the data submitted has the wrong format" in text
