"""Every bad request for a format, a level, a visible signature or a batch gets its typed answer, and nothing is signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import MAX_DOCUMENT, MAX_IMAGE, MAX_ITEMS, Door
from tests.integration.gateway.test_bad_input import (
    DOCUMENT_PART,
    JSON,
    SIGN,
    multipart,
    post,
    sign,
    sign_with,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
Send = Callable[[Door], Awaitable[httpx.Response]]
FORM = "multipart/form-data; boundary=b"
IMAGE_PART = ("image", "image/png", b"\x89PNG")
CONTAINER = ("signature", "application/pkcs7-signature", b"0\x80")
VISIBLE = {"profile": "free", "lines": ["{name}"]}
BOX = {"page": 1, "left": 10, "bottom": 10, "width": 100, "height": 40.5}
ANCHOR = {"text": "KÝ", "width": 100, "height": 40}
DIGEST = base64.b64encode(bytes(32)).decode()


def request_part(**changes: Any) -> tuple[str, str, bytes]:
    return ("request", JSON, json.dumps({**SIGN, **changes}).encode())


def visible(**changes: Any) -> Send:
    return sign_with(pdf={"visible": {**VISIBLE, **changes}})


def box(**changes: Any) -> Send:
    return visible(box={key: value for key, value in {**BOX, **changes}.items() if value is not ...})


def anchor(**changes: Any) -> Send:
    return visible(anchor={key: value for key, value in {**ANCHOR, **changes}.items() if value is not ...})


def raw_visible(members: str) -> Send:
    text = json.dumps({**SIGN, "pdf": {"visible": VISIBLE}}).replace('"profile"', f'{members}, "profile"')
    return sign(("request", JSON, text.encode()), DOCUMENT_PART)


def files(*parts: tuple[str, str, bytes], **request: Any) -> Send:
    return sign(request_part(**request), *parts)


def extend(request: dict[str, Any], *parts: tuple[str, str, bytes]) -> Send:
    content = multipart(("request", JSON, json.dumps(request).encode()), *parts)
    return lambda door: post(door, "/v1/documents:extend", content, FORM)


def hash_only(path: str, **changes: Any) -> Send:
    body = {**SIGN, **changes}
    return lambda door: post(door, f"/v1/documents:{path}", json.dumps(body).encode(), JSON)


def batch(items: Any, *parts: tuple[str, str, bytes], **changes: Any) -> Send:
    content = multipart(("request", JSON, json.dumps({**SIGN, "items": items, **changes}).encode()), *parts)
    return lambda door: post(door, "/v1/signatures:batch", content, FORM)


def without_key(path: str, content: bytes, content_type: str) -> Send:
    def send(door: Door) -> Awaitable[httpx.Response]:
        headers = {"Authorization": door.headers()["Authorization"]}
        return post(door, path, content, content_type, headers)

    return send


@dataclass(frozen=True)
class Row:
    """One bad request with the answer it must get, and the field that the answer names."""

    name: str
    send: Send
    status: int
    code: str
    field: str = ""


def field(name: str, send: Send, wrong: str) -> Row:
    return Row(name, send, 400, "FIELD_INVALID", wrong)


def order(name: str, send: Send) -> Row:
    return Row(name, send, 400, "PART_ORDER")


A_PDF = ("a", "application/pdf", b"%PDF-1.7")
COMPLETE = {"content_digest": DIGEST}
ROWS = [
    field("an unknown format", sign_with(format="ooxml"), "format"),
    field("a level that is a number", sign_with(level=1), "level"),
    field("an unknown packaging", sign_with(packaging="attached"), "packaging"),
    field("an unknown level rule", sign_with(level_rule="maybe"), "level_rule"),
    field("an endless authority", sign_with(time_stamp_authority="a" * 65), "time_stamp_authority"),
    field("XML options in a PDF", sign_with(xml={}), "xml"),
    field("PDF options in XML", sign_with(format="xades", pdf={}), "pdf"),
    field("a field name in JSON", sign_with(format="jades", field_name="x"), "field_name"),
    field("a serialisation in CMS", sign_with(format="cades", json_serialization="compact"), "json_serialization"),
    field("a relation in XML", sign_with(format="xmldsig", cms_relation="counter"), "cms_relation"),
    field("an ASiC kind in mail", sign_with(format="smime", asic_signature="cades"), "asic_signature"),
    field("PDF options that are text", sign_with(pdf="visible"), "pdf"),
    field("an unknown certification", sign_with(pdf={"certification": "all"}), "pdf.certification"),
    field("an unknown PDF option", sign_with(pdf={"visibility": True}), "pdf.visibility"),
    field("a visible signature that is a list", sign_with(pdf={"visible": []}), "pdf.visible"),
    field("no profile", sign_with(pdf={"visible": {}}), "pdf.visible.profile"),
    field("an unknown profile", visible(profile="nd30"), "pdf.visible.profile"),
    field("a printed name that is a number", visible(printed_name=7), "pdf.visible.printed_name"),
    field("an endless document number", visible(document_number="1" * 201), "pdf.visible.document_number"),
    field("a control character in a name", visible(agency_name="UBND\n"), "pdf.visible.agency_name"),
    field("an unknown form of copy", visible(copy_form="SAO Y"), "pdf.visible.copy_form"),
    field("a width that is text", visible(image_width_mm="36"), "pdf.visible.image_width_mm"),
    field("a width below nothing", visible(image_width_mm=-1), "pdf.visible.image_width_mm"),
    field("a seal of a metre", visible(image_height_mm=1000), "pdf.visible.image_height_mm"),
    field("an endless number", raw_visible('"image_width_mm": 1e999'), "pdf.visible.image_width_mm"),
    field("true for a number", visible(image_height_mm=True), "pdf.visible.image_height_mm"),
    field("nine lines", visible(lines=["x"] * 9), "pdf.visible.lines"),
    field("a line that is a number", visible(lines=["x", 7]), "pdf.visible.lines[1]"),
    field("an endless line", visible(lines=["x" * 201]), "pdf.visible.lines[0]"),
    field("two places", visible(box=BOX, anchor=ANCHOR), "pdf.visible.anchor"),
    field("an unknown option of a visible signature", visible(colour="red"), "pdf.visible.colour"),
    field("a box without a page", box(page=...), "pdf.visible.box.page"),
    field("a box on page 0", box(page=0), "pdf.visible.box.page"),
    field("a box on half a page", box(page=1.5), "pdf.visible.box.page"),
    field("a box without a left", box(left=...), "pdf.visible.box.left"),
    field("a box off any page", box(bottom=1e6), "pdf.visible.box.bottom"),
    field("a box of no number", box(width="wide"), "pdf.visible.box.width"),
    field("a box below nothing", box(height=-1), "pdf.visible.box.height"),
    field("an unknown side of a box", box(right=1), "pdf.visible.box.right"),
    field("an anchor without a text", anchor(text=...), "pdf.visible.anchor.text"),
    field("an endless anchor", anchor(text="x" * 101), "pdf.visible.anchor.text"),
    field("an anchor without a width", anchor(width=...), "pdf.visible.anchor.width"),
    field("an anchor far off", anchor(offset_x=-1e5), "pdf.visible.anchor.offset_x"),
    field("an anchor far below", anchor(offset_y=None, height=None), "pdf.visible.anchor.height"),
    field("an endless target id", sign_with(format="xades", xml={"target_id": "x" * 201}), "xml.target_id"),
    field("an endless parent", sign_with(format="xades", xml={"parent": "/" * 513}), "xml.parent"),
    field("an unknown placement", sign_with(format="xades", xml={"placement": "before"}), "xml.placement"),
    field("an unknown XML option", sign_with(format="xades", xml={"xslt": "x"}), "xml.xslt"),
    field(
        "an unknown serialisation", sign_with(format="jades", json_serialization="cbor"), "json_serialization"
    ),
    field("an unknown relation", sign_with(format="cades", cms_relation="next"), "cms_relation"),
    field("an unknown ASiC kind", sign_with(format="asic_e", asic_signature="jades"), "asic_signature"),
    Row("a digest that is no base64", files(content_digest="***"), 400, "BASE64_INVALID"),
    field("a digest that is a list", files(content_digest=[1]), "content_digest"),
    field("a digest of 65 bytes", files(content_digest=base64.b64encode(bytes(65)).decode()), "content_digest"),
    field("a digest to be signed later", files(content_digest=DIGEST, mode="async"), "mode"),
    order("a digest with its document", files(DOCUMENT_PART, content_digest=DIGEST)),
    order("a signature alone in PAdES", files(CONTAINER)),
    order("a signature in mail", files(DOCUMENT_PART, CONTAINER, format="smime")),
    order("an image without a visible signature", files(DOCUMENT_PART, IMAGE_PART)),
    order("an image in CMS", files(DOCUMENT_PART, IMAGE_PART, format="cades")),
    order("an image before the document", files(IMAGE_PART, DOCUMENT_PART, pdf={"visible": VISIBLE})),
    order("a part of another name", files(DOCUMENT_PART, ("picture", "image/png", b"x"))),
    order("two documents in CMS", files(DOCUMENT_PART, DOCUMENT_PART, format="cades")),
    order("a request in the middle", files(DOCUMENT_PART, request_part(), format="asic_e")),
    Row(
        "an image over its limit",
        files(DOCUMENT_PART, ("image", "image/png", bytes(MAX_IMAGE + 1)), pdf={"visible": VISIBLE}),
        413,
        "BODY_TOO_LARGE",
    ),
    Row(
        "files that are too large together",
        files(*[("document", "", bytes(MAX_DOCUMENT // 2 + 1))] * 2, format="asic_e"),
        413,
        "BODY_TOO_LARGE",
    ),
    field("an extension to nothing", extend({}, DOCUMENT_PART), "level"),
    field("an extension to B-B", extend({"level": "B-B"}, DOCUMENT_PART), "level"),
    field("an extension by a credential", extend({"level": "B-T", "credential_id": "x"}, DOCUMENT_PART), "credential_id"),
    field("an extension with a short digest", extend({"level": "B-T", "content_digest": 7}, DOCUMENT_PART), "content_digest"),
    Row("an extension by SHA-1", extend({"level": "B-T", "digest_algorithm": "SHA-1"}), 400, "ALGORITHM_UNKNOWN"),
    order("an extension of nothing", extend({"level": "B-T"})),
    order("an extension of content alone", extend({"level": "B-T"}, ("content", "", b"x"))),
    order("an extension of two", extend({"level": "B-T"}, DOCUMENT_PART, DOCUMENT_PART)),
    Row(
        "an extension without multipart",
        lambda d: post(d, "/v1/documents:extend", b"{}", JSON),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    field("a preparation with a digest", hash_only("prepare", content_digest=DIGEST), "content_digest"),
    field("a preparation of no format", hash_only("prepare", format=None), "format"),
    field("a completion without a digest", hash_only("complete"), "content_digest"),
    field("a completion with an empty digest", hash_only("complete", content_digest=""), "content_digest"),
    field("a completion at no time", hash_only("complete", signing_time="now", **COMPLETE), "signing_time"),
    field("a completion with a file", hash_only("complete", document="x", **COMPLETE), "document"),
    field(
        "a completion without a key",
        without_key("/v1/documents:complete", json.dumps({**SIGN, **COMPLETE}).encode(), JSON),
        "Idempotency-Key",
    ),
    Row("a completion in multipart", lambda d: post(d, "/v1/documents:complete", b"x", FORM), 415, "UNSUPPORTED_MEDIA_TYPE"),
    field("a batch without items", batch(None), "items"),
    Row("an empty batch", batch([]), 400, "BATCH_EMPTY"),
    Row("an oversize batch", batch([{"key": str(n)} for n in range(MAX_ITEMS + 1)]), 400, "BATCH_TOO_LARGE"),
    field("an item that is text", batch(["a"]), "items[0]"),
    field("an item without a key", batch([{"key": "a"}, {}]), "items[1].key"),
    field("two items of one key", batch([{"key": "a"}, {"key": "a"}]), "items[1].key"),
    field("an item named request", batch([{"key": "request"}]), "items[0].key"),
    field("an item with a quote", batch([{"key": 'a"b'}]), "items[0].key"),
    field("an endless item key", batch([{"key": "a" * 201}]), "items[0].key"),
    field("a wait of an hour", batch([{"key": "a"}], A_PDF, wait_seconds=3600), "wait_seconds"),
    field("a batch in which every item is wrong", batch([{"key": "a"}], A_PDF, levle="B-T"), "items[0].levle"),
    order("a batch with a part of no item", batch([{"key": "a"}], ("b", "", b"x"))),
    field(
        "a batch without a key",
        without_key("/v1/signatures:batch", multipart(request_part(items=[{"key": "a"}]), A_PDF), FORM),
        "Idempotency-Key",
    ),
    Row("a batch without a request", lambda d: post(d, "/v1/signatures:batch", multipart(A_PDF), FORM), 400, "PART_ORDER"),
    Row(
        "a batch that breaks off",
        lambda d: post(
            d, "/v1/signatures:batch", multipart(request_part(items=[{"key": "a"}]), A_PDF, end=b""), FORM
        ),
        400,
        "MULTIPART_INVALID",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_bad_request_gets_its_typed_answer(door: Door, row: Row) -> None:
    answer = await row.send(door)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (row.status, row.code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    if row.field:
        assert problem["field"] == row.field
    assert not door.services.signer.prepared
    assert door.services.signer.completed == 0
