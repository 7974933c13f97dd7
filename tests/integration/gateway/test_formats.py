"""Formats, files, levels, extensions, digests and batches through the door: what reaches the signer, what comes back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.document import signed_name
from gateway.routes import described
from gateway.routes.batches import item_key
from kyso.v1 import signer_pb2 as signer
from services.kernel.errors import CredentialHeld, HsmTimeout
from tests.integration.gateway.conftest import MAX_DOCUMENT, Door, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT, SIGNATURE, IMAGE = signer.PART_ROLE_CONTENT, signer.PART_ROLE_SIGNATURE, signer.PART_ROLE_IMAGE
PNG = b"\x89PNG" + bytes(1000)
DIGEST = hashlib.sha256(b"stays here").digest()


def parts_of(request: dict[str, Any], *files: tuple[str, str, bytes, str]) -> list[Any]:
    asked = {"credential_id": "cr_1", "format": "pades", "label": "none", **request}
    rows: list[Any] = [("request", (None, json.dumps(asked), "application/json"))]
    return rows + [(name, (file_name, data, kind)) for name, file_name, data, kind in files]


async def sign(door: Door, request: dict[str, Any], *files: tuple[str, str, bytes, str]) -> httpx.Response:
    answer = await door.http.post(
        "/v1/signatures", files=parts_of(request, *files), headers=door.headers("sign:document")
    )
    assert answer.status_code == 200, answer.text
    return answer


def sent(door: Door) -> list[tuple[int, str, str, int]]:
    (files,) = door.services.signer.files
    return [(file.role, file.name, file.media_type, file.size) for file in files]


PDF = ("document", "thư.pdf", b"%PDF-1.7 letter", "application/pdf")


async def test_every_option_reaches_the_signer(door: Door) -> None:
    visible = {
        "profile": "nd30.agency", "box": {"page": 2, "left": -1.5, "bottom": 20, "width": 100, "height": 50},
        "printed_name": "Trần Thị Ước", "image_width_mm": 36.5, "image_height_mm": 36, "document_number": "1030/UBND-VX",
        "agency_name": "UBND xã An Bình", "copy_form": "trich_sao", "lines": ["{name}", "{time}"],
    }  # fmt: skip
    request = {
        "level": "B-LTA", "packaging": "enveloped", "level_rule": "lower", "time_stamp_authority": "bcy",
        "reason": "Phê duyệt", "location": "Hà Nội", "field_name": "CKy1", "pdf": {"certification": "forms", "visible": visible},
    }  # fmt: skip
    await sign(door, request, PDF, ("image", "dấu.png", PNG, "image/png"))
    (header,) = door.services.signer.headers
    assert MessageToDict(header.level_options) == {"rule": "LEVEL_RULE_LOWER", "timeStampAuthority": "bcy"}
    assert (header.level, header.packaging) == (
        signer.SIGNATURE_LEVEL_B_LTA,
        signer.SIGNATURE_PACKAGING_ENVELOPED,
    )
    assert (header.reason, header.location, header.field_name) == ("Phê duyệt", "Hà Nội", "CKy1")
    assert MessageToDict(header.pdf) == {
        "certification": "PDF_CERTIFICATION_FORMS",
        "visible": {
            "profile": "VISIBLE_PROFILE_ND30_AGENCY",
            "box": {"page": 2, "left": -1.5, "bottom": 20.0, "width": 100.0, "height": 50.0},
            "printedName": "Trần Thị Ước", "imageWidthMm": 36.5, "imageHeightMm": 36.0, "documentNumber": "1030/UBND-VX",
            "agencyName": "UBND xã An Bình", "copyForm": "COPY_FORM_TRICH_SAO", "lines": ["{name}", "{time}"],
        },
    }  # fmt: skip
    assert sent(door) == [(CONTENT, "thư.pdf", "", len(PDF[2])), (IMAGE, "dấu.png", "image/png", len(PNG))]
    assert header.file_name == "thư.pdf"


async def test_a_place_by_text_and_xml_options_reach_the_signer(door: Door) -> None:
    anchor = {"text": "NƠI NHẬN", "width": 160, "height": 40, "offset_y": 6}
    await sign(door, {"pdf": {"visible": {"profile": "free", "anchor": anchor}}}, PDF)
    xml = {"target_id": "HSo", "parent": "/HSoKhaiThue/CKyDTu", "placement": "after"}
    await sign(door, {"format": "xades", "xml": xml}, ("document", "tờ khai.xml", b"<a/>", "application/xml"))
    pdf, other = door.services.signer.headers
    assert MessageToDict(pdf.pdf.visible.anchor) == {
        "text": "NƠI NHẬN", "width": 160.0, "height": 40.0, "offsetY": 6.0,
    }  # fmt: skip
    assert MessageToDict(other.xml) == {
        "targetId": "HSo", "parent": "/HSoKhaiThue/CKyDTu", "placement": "XML_PLACEMENT_AFTER",
    }  # fmt: skip
    assert not other.HasField("pdf")
    assert not other.HasField("level_options")


async def test_a_single_plain_document_goes_as_it_always_did(door: Door) -> None:
    await sign(door, {}, PDF)
    await sign(door, {"format": "cades"}, ("document", "a.bin", b"abc", "application/octet-stream"))
    assert [len(files) for files in door.services.signer.files] == [1, 1]
    assert [files[0].media_type for files in door.services.signer.files] == ["", ""]


async def test_several_files_go_in_order_with_names_and_types(door: Door) -> None:
    await sign(
        door,
        {"format": "asic_e", "asic_signature": "cades"},
        ("document", "một.txt", b"1", "text/plain"),
        ("document", "bang/hai.csv", b"22", "TEXT/CSV"),
        ("document", "ba", b"", "no type at all"),
        ("signature", "cũ.asice", b"PK", "application/vnd.etsi.asic-e+zip"),
    )
    assert sent(door) == [
        (CONTENT, "một.txt", "text/plain", 1),
        (CONTENT, "hai.csv", "text/csv", 2),
        (CONTENT, "ba", "", 0),
        (SIGNATURE, "cũ.asice", "application/vnd.etsi.asic-e+zip", 2),
    ]
    (header,) = door.services.signer.headers
    assert (header.file_name, header.asic_signature) == ("một.txt", signer.ASIC_SIGNATURE_CADES)


async def test_an_existing_container_may_come_alone(door: Door) -> None:
    await sign(
        door,
        {"format": "cades", "cms_relation": "counter"},
        ("signature", "a.p7s", b"0\x80", "application/pkcs7-signature"),
    )
    assert sent(door) == [(SIGNATURE, "a.p7s", "application/pkcs7-signature", 2)]
    assert door.services.signer.headers[0].cms_relation == signer.CMS_RELATION_COUNTER


async def test_a_digest_comes_without_a_document(door: Door) -> None:
    answer = await sign(door, {"format": "xades", "content_digest": base64.b64encode(DIGEST).decode()})
    (header,) = door.services.signer.headers
    assert (header.content_digest, header.packaging) == (DIGEST, signer.SIGNATURE_PACKAGING_DETACHED)
    assert sent(door) == []
    assert 'filename="document.xml"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("media_type", "given", "name"),
    [
        ("application/pdf", "thư.pdf", "thư-signed.pdf"),
        ("application/pkcs7-signature", "thư.docx", "thư.docx.p7s"),
        ("application/pkcs7-signature", "thư.p7s", "thư-signed.p7s"),
        ("application/pkcs7-mime", "thư.docx", "thư.docx.p7m"),
        ("application/pkcs7-mime", "thư.p7s", "thư-signed.p7s"),
        ("application/xml", "tờ khai.XML", "tờ khai-signed.xml"),
        ("application/xml", "bản vẽ.dwg", "bản vẽ.dwg.xml"),
        ("application/jose", "a.json", "a.json.jws"),
        ("application/jose+json", "a.json", "a-signed.json"),
        ("application/vnd.etsi.asic-s+zip", "a.pdf", "a.pdf.asics"),
        ("application/vnd.etsi.asic-e+zip", "a.asice", "a-signed.asice"),
        ("message/rfc822", "thư.eml", "thư-signed.eml"),
        ("message/rfc822", "", "document.eml"),
    ],
)
async def test_every_kind_of_result_gets_its_name(media_type: str, given: str, name: str) -> None:
    assert signed_name(given, media_type) == name


async def test_level_and_warnings_are_told_in_headers(door: Door) -> None:
    door.services.signer.result = signer.SignDocumentResult(
        level=signer.SIGNATURE_LEVEL_B_T,
        warnings=[
            "VS-33: the image is wider than its place: Phê duyệt",
            "SEAL_WITHOUT_RED: đỏ",
            "SEAL_WITHOUT_RED: x",
        ],
    )
    door.services.signer.result.level_missed.code = "EVIDENCE_UNAVAILABLE"
    answer = await sign(door, {"level": "B-LTA", "level_rule": "lower"}, PDF)
    assert answer.headers["x-kyso-level"] == "B-T"
    assert answer.headers["x-kyso-level-missed"] == "EVIDENCE_UNAVAILABLE"
    assert answer.headers["x-kyso-warning"] == "SEAL_WITHOUT_RED"


async def test_a_level_that_was_reached_misses_nothing(door: Door) -> None:
    answer = await sign(door, {}, PDF)
    assert answer.headers["x-kyso-level"] == "B-B"
    assert "x-kyso-level-missed" not in answer.headers
    assert "x-kyso-warning" not in answer.headers


async def test_signed_files_are_extended_with_their_content(door: Door) -> None:
    request = {"level": "B-LTA", "digest_algorithm": "SHA-512", "level_rule": "refuse", "reference": "7/CV"}
    files: list[Any] = [
        ("request", (None, json.dumps(request), "application/json")),
        ("document", ("a.pdf", b"%PDF-signed", "application/pdf")),
        ("content", ("b.txt", b"text", "text/plain")),
    ]
    headers = {"Authorization": door.headers("sign:document")["Authorization"]}
    answer = await door.http.post("/v1/documents:extend", files=files, headers=headers)
    assert answer.status_code == 200, answer.text
    assert 'filename="a-extended.pdf"' in answer.headers["content-disposition"]
    (header,) = door.services.signer.extended
    assert (header.level, header.file_name) == (signer.SIGNATURE_LEVEL_B_LTA, "a.pdf")
    assert (header.level_options.rule, header.context.reference) == (signer.LEVEL_RULE_REFUSE, "7/CV")
    assert sent(door) == [(SIGNATURE, "a.pdf", "application/pdf", 11), (CONTENT, "b.txt", "text/plain", 4)]


async def test_a_document_that_stays_with_the_caller_is_prepared_and_completed(door: Door) -> None:
    asked = {"credential_id": "cr_1", "format": "pades", "label": "none", "level": "B-T"}
    prepared = await door.http.post(
        "/v1/documents:prepare", json=asked, headers=door.headers("sign:document")
    )
    assert prepared.json() == {
        "digest_algorithm": "SHA-256", "hashed": "ByteRange", "contents_bytes": 8192,
        "sub_filter": "ETSI.CAdES.detached", "signing_time": "2026-11-22T08:00:00Z",
    }  # fmt: skip
    (header,) = door.services.signer.prepared
    assert header.packaging == signer.SIGNATURE_PACKAGING_DETACHED
    door.services.signer.media_type = "application/pkcs7-signature"
    body = {
        **asked,
        "content_digest": base64.b64encode(DIGEST).decode(),
        "signing_time": prepared.json()["signing_time"],
        "file_name": "mật/đơn thư.pdf",
    }
    headers = door.headers("sign:document")
    answer = await door.http.post("/v1/documents:complete", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-signature"
    assert 'filename="don thu.pdf.p7s"' in answer.headers["content-disposition"]
    (header,) = door.services.signer.headers
    assert (header.content_digest, header.idempotency_key) == (DIGEST, headers["Idempotency-Key"])
    assert (door.services.signer.received, door.services.signer.completed) == (0, 1)


# --- batches ------------------------------------------------------------------------------------------------------


async def batch(door: Door, key: str, request: dict[str, Any], *files: tuple[str, str, bytes, str]) -> Any:
    headers = {**door.headers("sign:document"), "Idempotency-Key": key}
    answer = await door.http.post("/v1/signatures:batch", files=parts_of(request, *files), headers=headers)
    assert answer.status_code == 200, answer.text
    document = (await door.http.get("/openapi.json")).json()
    root = {"$ref": "#/components/schemas/BatchAnswer", "components": document["components"]}
    Draft202012Validator(root).validate(answer.json())
    return answer.json()["outcomes"]


def letters(*keys: str) -> list[tuple[str, str, bytes, str]]:
    return [(key, f"{key}.pdf", b"%PDF " + key.encode(), "application/pdf") for key in keys]


async def test_a_batch_has_an_outcome_for_each_item_and_one_that_fails_stops_no_other(door: Door) -> None:
    door.services.signer.refuse_names = {"b.pdf": CredentialHeld("it is on hold")}
    big = ("c", "c.pdf", bytes(MAX_DOCUMENT + 1), "application/pdf")
    items = [
        {"key": "a", "reference": "1/CV"}, {"key": "b"}, {"key": "c"}, {"key": "d", "level": "B-X"},
        {"key": "missing"}, {"key": "đ", "file_name": "đơn.pdf", "format": "cades", "label": None},
    ]  # fmt: skip
    rows = letters("a", "b", "d", "đ")
    outcomes = await batch(door, "day-1", {"items": items}, *rows[:2], big, *rows[2:])
    assert [row["key"] for row in outcomes] == ["a", "b", "c", "d", "missing", "đ"]
    codes = [row["error"] and row["error"]["code"] for row in outcomes]
    assert codes == [None, "CREDENTIAL_HELD", "BODY_TOO_LARGE", "FIELD_INVALID", "PART_ORDER", None]
    assert [row["state"] for row in outcomes] == ["accepted", None, None, None, None, "accepted"]
    assert outcomes[0]["status_url"] == f"/v1/signatures/{outcomes[0]['operation_id']}"
    signed = {header.file_name: header for header in door.services.signer.headers}
    assert (signed["a.pdf"].context.reference, signed["a.pdf"].idempotency_key) == ("1/CV", "day-1:a")
    assert signed["đơn.pdf"].format == signer.SIGNATURE_FORMAT_CADES
    assert signed["đơn.pdf"].context.label == 0
    assert set(door.services.signer.submitted) == {"day-1:a", item_key("day-1", "đ")}


async def test_a_batch_goes_on_where_it_broke_off(door: Door) -> None:
    items = [{"key": key} for key in "abc"]
    first = await batch(door, "day-2", {"items": items}, *letters("a"))
    again = await batch(door, "day-2", {"items": items[1:]}, *letters("c", "b"))
    whole = await batch(door, "day-2", {"items": items}, *letters("b", "a", "c"))
    assert [row["replayed"] for row in whole] == [True, True, True]
    ids = [row["operation_id"] for row in whole]
    assert ids == [first[0]["operation_id"], *(row["operation_id"] for row in again)]
    assert len(door.services.signer.submitted) == 3


async def test_a_batch_shares_its_images(door: Door) -> None:
    visible = {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}
    items = [{"key": "a"}, {"key": "b", "pdf": {}}, {"key": "c"}]
    seal = ("image", "dấu.png", bytes(60_000), "image/png")
    await batch(door, "day-3", {"items": items, "pdf": {"visible": visible}}, seal, *letters("a", "b", "c"))
    assert [[file.role for file in files] for files in door.services.signer.files] == [
        [CONTENT, IMAGE],
        [CONTENT],
        [CONTENT, IMAGE],
    ]
    first, _, last = (header.pdf.visible for header in door.services.signer.headers)
    assert first == last
    assert (first.image_width_mm, door.services.signer.files[2][1].size) == (36, 60_000)
    assert door.services.signer.completed == 3


async def test_an_item_of_a_batch_names_the_image_that_it_shows(door: Door) -> None:
    seal = {"visible": {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}}
    person, text = {"visible": {"profile": "nd30.person"}}, {"visible": {"profile": "nd30.attachment"}}
    items = [
        {"key": "a", "image": "ký.png", "pdf": person}, {"key": "b"}, {"key": "c", "pdf": text, "image": None},
        {"key": "d", "image": None}, {"key": "e", "image": "none.png"}, {"key": "f", "pdf": text},
        {"key": "g", "image": "two.png"},
    ]  # fmt: skip
    images = [
        ("image", name, bytes(size), "image/png")
        for name, size in (("dấu.png", 600), ("ký.png", 700), ("two.png", 1), ("two.png", 2))
    ]
    request = {"items": items, "pdf": seal, "image": "dấu.png"}
    outcomes = await batch(door, "day-6", request, *images, *letters(*"abcdefg"))
    assert [row["error"] and row["error"]["code"] for row in outcomes] == [
        None, None, None, "FIELD_INVALID", "FIELD_INVALID", "FIELD_INVALID", "FIELD_INVALID",
    ]  # fmt: skip
    assert [[file.size for file in files if file.role == IMAGE] for files in door.services.signer.files] == [
        [700],
        [600],
        [],
    ]


async def test_the_only_image_of_a_batch_goes_to_profiles_that_show_one(door: Door) -> None:
    profiles = ["nd30.person", "nd30.agency", "free", "nd30.attachment", "nd30.copy", "archive05", "block"]
    items = [{"key": name, "pdf": {"visible": {"profile": name}}} for name in profiles]
    seal = ("image", "dấu.png", bytes(600), "image/png")
    await batch(door, "day-7", {"items": items}, seal, *letters(*profiles))
    assert [len(files) for files in door.services.signer.files] == [2, 2, 2, 1, 1, 1, 1]


async def test_a_batch_waits_for_its_signatures(door: Door) -> None:
    door.services.signer.asked_before_end = 3
    outcomes = await batch(
        door, "day-4", {"items": [{"key": "a"}, {"key": "b"}], "wait_seconds": 20}, *letters("a", "b")
    )
    assert [row["state"] for row in outcomes] == ["signed", "signed"]
    assert outcomes[0]["document_url"] == f"/v1/signatures/{outcomes[0]['operation_id']}/document"


async def test_a_batch_that_waited_in_vain_tells_how_far_it_is(door: Door) -> None:
    door.services.signer.asked_before_end = 10**6
    outcomes = await batch(door, "day-5", {"items": [{"key": "a"}], "wait_seconds": 0.3}, *letters("a"))
    assert [(row["state"], row["document_url"]) for row in outcomes] == [("begun", None)]


async def test_a_signer_that_is_away_is_every_items_outcome(door: Door) -> None:
    door.services.signer.refuse = HsmTimeout("later")
    outcomes = await batch(door, "day-6", {"items": [{"key": "a"}, {"key": "b"}]}, *letters("a", "b"))
    assert [row["error"]["retryable"] for row in outcomes] == [True, True]


async def test_a_caller_that_goes_away_leaves_whole_items_accepted_and_half_ones_alone(door: Door) -> None:
    headers = door.headers("sign:document")
    body = json.dumps({"credential_id": "cr_1", "format": "pades", "items": [{"key": "a"}, {"key": "b"}]})
    head = '--b\r\nContent-Disposition: form-data; name="{}"\r\nContent-Type: {}\r\n\r\n'
    whole = (
        head.format("request", "application/json") + body + "\r\n" + head.format("a", "application/pdf")
    ).encode()
    content = whole + b"%PDF a\r\n" + head.format("b", "application/pdf").encode() + b"%PDF half"
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    start = (
        "POST /v1/signatures:batch HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    )
    writer.write(f"{start}{''.join(lines)}Content-Length: {len(content) + 100}\r\n\r\n".encode() + content)
    await writer.drain()
    signer_side = door.services.signer

    async def half_came() -> bool:
        return len(signer_side.submitted) == 1 and len(signer_side.headers) == 2

    async def ended() -> bool:
        return door.figure("kyso_gateway_in_flight") == 0

    await until(half_came)
    writer.close()
    await until(ended)
    assert list(door.services.signer.submitted) == [headers["Idempotency-Key"] + ":a"]
    assert door.services.signer.completed == 1


async def test_item_keys_are_the_same_for_the_same_two_keys_only() -> None:
    keys = [("a", "b:c"), ("a:b", "c"), ("a", "b%3Ac"), ("k" * 128, "x"), ("k" * 127, "kx"), ("a", "đ" * 100)]
    made = [item_key(batch_key, key) for batch_key, key in keys]
    assert len(set(made)) == len(made)
    assert all(key.isascii() and key.isprintable() and 1 <= len(key) <= 128 for key in made)
    assert item_key("a", "x.pdf") == "a:x.pdf"


async def test_every_example_of_the_description_is_taken(door: Door) -> None:
    document = (await door.http.get("/openapi.json")).json()

    def check(schema: str, value: Any) -> None:
        root = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        Draft202012Validator(root).validate(value)

    formats = set()
    for _, example in described.SIGN_EXAMPLES.values():
        check("SignatureRequest", example["request"])
        formats.add(example["request"]["format"])
        files = [
            (part, f"{part}.bin", b"content", "")
            for part in ("document", "signature", "image")
            for _ in example.get(part, ())
        ]
        await sign(door, example["request"], *files)
    assert len(formats) == 8
    for _, example in described.EXTEND_EXAMPLES.values():
        check("ExtensionRequest", example["request"])
    for _, example in described.PREPARE_EXAMPLES.values():
        check("PrepareRequest", example)
        answer = await door.http.post("/v1/documents:prepare", json=example, headers=door.headers())
        check("Prepared", answer.json())
    for _, example in described.COMPLETE_EXAMPLES.values():
        check("CompleteRequest", example)
    for _, example in described.BATCH_EXAMPLES.values():
        check("BatchRequest", example["request"])
