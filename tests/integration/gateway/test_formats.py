"""Formats, files, levels, extensions, digests and batches through the door: what reaches the signer, what comes back."""

from __future__ import annotations

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
from kyso.v1 import signer_pb2 as signer
from tests.integration.gateway.conftest import Door

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
