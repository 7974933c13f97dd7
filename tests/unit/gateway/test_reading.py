"""The gateway's small readers: bearer tokens, multipart bodies in any cut, file names, rates, the table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth import bearer_token
from gateway.document import content_disposition, signed_name
from gateway.endpoint import Endpoint, Table
from gateway.fields import parse_object
from gateway.multipart import MultipartBody, safe_file_name
from gateway.problems import MethodNotAllowed, MultipartInvalid
from gateway.rates import Places, RateLimit
from services.kernel.errors import (
    DomainError,
    FieldInvalid,
    NotFound,
    Overloaded,
    RateLimited,
    TokenInvalid,
    Unauthenticated,
)

TYPE = "multipart/form-data; boundary=XX"


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read_parts(body: bytes, size: int) -> list[tuple[str, str, bytes, int]]:
    parts = MultipartBody(TYPE, cut(body, size), 4)
    found = []
    while (part := await parts.next_part()) is not None:
        pieces = [piece async for piece in part.pieces(1_000_000)]
        found.append((part.name, part.file_name, b"".join(pieces), len(pieces)))
    return found


def body_of(*contents: bytes) -> bytes:
    parts = [
        b'--XX\r\nContent-Disposition: form-data; name="p%d"; filename="t\xe1\xbb\x87p.pdf"\r\n\r\n%b\r\n'
        % (number, content)
        for number, content in enumerate(contents)
    ]
    return b"".join(parts) + b"--XX--\r\n"


@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.lists(st.sampled_from([b"\r\n--X", b"\r\n--XX", b"--XX--", b"a", b"\r"]), max_size=40).map(
                b"".join
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    size=st.integers(1, 200),
)
@settings(max_examples=200, deadline=None)
def test_parts_are_the_same_however_the_body_is_cut(contents: list[bytes], size: int) -> None:
    from_whole = _outcome(body_of(*contents), 1_000_000)
    assert _outcome(body_of(*contents), size) == from_whole
    if not any(b"\r\n--XX" in b"\r\n" + content for content in contents):
        assert from_whole == [(f"p{i}", "tệp.pdf", content) for i, content in enumerate(contents)]


def _outcome(body: bytes, size: int) -> Any:
    try:
        return [row[:3] for row in asyncio.run(read_parts(body, size))]
    except DomainError as error:
        # A boundary inside the content: refused, whatever the cut.
        return type(error)


async def test_a_document_of_almost_boundaries_does_not_become_many_messages() -> None:
    content = b"\r\n--X" * 5000
    ((_, _, read, pieces),) = await read_parts(body_of(content), 65536)
    assert read == content
    assert pieces == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--XX",
        b"--XX\r\n\r\nno headers\r\n--XX--",
        b'--XX\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--XX--',
        b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--",
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\nx\r\n--XX--',
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--XX--',
        b"--XX\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(9)) + b"\r\nx\r\n--XX--",
        b"--XX\r\nX: " + b"a" * 5000 + b"\r\n\r\nx\r\n--XX--",
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nx',
        b"--YY\r\n",
    ],
)
async def test_a_body_that_is_no_multipart_is_refused(body: bytes) -> None:
    with pytest.raises(MultipartInvalid):
        await read_parts(body, 7)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("Công văn.pdf", "Công văn.pdf"),
        ("Cong\u0302 va\u0306n.pdf", "Công văn.pdf".replace("Công", "Cong\u0302")),
        ("/etc/passwd", "passwd"),
        ("C:\\fakepath\\a.pdf", "a.pdf"),
        ("gpj\u202efdp.exe", "gpjfdp.exe"),
        ("a\r\nb\0.pdf", "ab.pdf"),
        ("x" * 400, "x" * 255),
        ("/", ""),
    ],
)
def test_a_file_name_is_a_name_and_no_path(given_name: str, kept: str) -> None:
    import unicodedata

    assert safe_file_name(given_name) == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a\\..\\b.pdf", "a/../b.pdf"])
def test_a_file_name_that_climbs_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalid):
        safe_file_name(name)


def test_signed_documents_keep_the_name_that_they_came_with() -> None:
    assert signed_name("Công văn.PDF", "application/pdf") == "Công văn-signed.pdf"
    assert signed_name("a.docx", "application/pkcs7-signature") == "a.docx.p7s"
    assert signed_name("", "application/pdf") == "document-signed.pdf"
    header = content_disposition('Đơn "mới"\r\n.pdf')
    assert header.isascii()
    assert header.startswith('attachment; filename="Don moi.pdf"; ')
    assert "\r" not in header


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "bearer"])
def test_no_bearer_token_is_unauthenticated(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(header)


@pytest.mark.parametrize(
    "header", ["Bearer abc", "Bearer a.b", "Bearer a.b.c.d", "Bearer é.b.c", "Bearer a.b.c x"]
)
def test_what_is_no_jwt_is_an_invalid_token(header: str) -> None:
    with pytest.raises(TokenInvalid):
        bearer_token(header)


def test_a_rate_fills_up_again_with_time() -> None:
    now = [0.0]
    rate = RateLimit(2.0, 3, lambda: now[0])
    for _ in range(3):
        rate.take("a")
    with pytest.raises(RateLimited) as refused:
        rate.take("a")
    assert refused.value.data == {"retry_after": 1}
    rate.take("b")
    now[0] = 0.5
    rate.take("a")
    with pytest.raises(RateLimited):
        rate.take("a")
    now[0] = 100.0
    for _ in range(3):
        rate.take("a")
    with pytest.raises(RateLimited):
        rate.take("a")


def test_a_rate_of_zero_lets_everything_pass() -> None:
    rate = RateLimit(0, 1, lambda: 0.0)
    for _ in range(100):
        rate.take("a")


async def _never(*_: Any) -> Any:
    raise AssertionError("not called")


def _table() -> Table:
    return Table([
        Endpoint("GET", "/v1/things", _never, {}),
        Endpoint("GET", "/v1/things/{id}", _never, {}),
        Endpoint("POST", "/v1/things/{id}:hold", _never, {}),
        Endpoint("GET", "/v1/things/{id}/part", _never, {}),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "template", "variables"),
    [
        ("GET", "/v1/things", "/v1/things", {}),
        ("HEAD", "/v1/things", "/v1/things", {}),
        ("GET", "/v1/things/cr_1", "/v1/things/{id}", {"id": "cr_1"}),
        ("POST", "/v1/things/cr_1:hold", "/v1/things/{id}:hold", {"id": "cr_1"}),
        ("GET", "/v1/things/cr_1/part", "/v1/things/{id}/part", {"id": "cr_1"}),
    ],
)
def test_the_table_finds_the_one_endpoint(
    method: str, path: str, template: str, variables: dict[str, str]
) -> None:
    endpoint, found = _table().find(method, path)
    assert (endpoint.path, found) == (template, variables)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/things/",
        "/v1/things/a/b",
        "/v1/things/a:hold:x",
        "/v1/things/é",
        "/v1/things/" + "a" * 65,
    ],
)
def test_the_table_finds_nothing_else(path: str) -> None:
    with pytest.raises(NotFound):
        _table().find("GET", path)


def test_a_method_that_a_path_does_not_know_is_told_which_it_does() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        _table().find("DELETE", "/v1/things/cr_1")
    assert refused.value.data == {"allow": "GET, HEAD"}


def test_two_endpoints_for_one_request_are_refused() -> None:
    twice = Endpoint("GET", "/a", _never, {})
    with pytest.raises(ValueError, match="twice"):
        Table([twice, twice])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_typed_refusal(raw: bytes) -> None:
    try:
        parse_object(raw).done()
    except DomainError as error:
        assert error.code in {"JSON_INVALID", "FIELD_INVALID"}  # noqa: PT017 - either outcome is right


def test_places_are_shared_out_by_address_and_come_back() -> None:
    places = Places(3, 2)
    with places.taken("a"), places.taken("a"):
        with pytest.raises(RateLimited), places.taken("a"):
            pass
        with places.taken("b"), pytest.raises(Overloaded), places.taken("c"):
            pass
        with places.taken("c"):
            pass
    with places.taken("a"), places.taken("a"), places.taken("b"):
        pass
