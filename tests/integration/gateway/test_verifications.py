"""Verifications at the public door: what is asked, in what forms it is answered, what was signed, what is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from io import BytesIO
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from kyso.v1 import verifier_pb2 as messages
from tests.integration.gateway.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
PDF = b"%PDF-1.7 signed"


def asked(door: Door) -> messages.VerifyDocumentHeader:
    header = door.services.verifier.header
    assert header is not None
    return header


async def verify(door: Door, address: str = "", accept: str = "*/*", **request: Any) -> Any:
    files: list[Any] = [("request", (None, json.dumps(request), "application/json"))] if request else []
    files.append(("document", ("thư.pdf", PDF, "application/pdf")))
    return await door.http.post(
        f"/v1/verifications{address}", files=files, headers=door.headers("verify", Accept=accept)
    )


async def test_a_pdf_is_verified_raw_and_as_a_part(door: Door) -> None:
    content = b"%PDF-1.7 " + bytes(100_000)
    raw = await door.http.post(
        "/v1/verifications?integrity_only=true&file_name=a.pdf",
        content=content,
        headers=door.headers("verify", Content_Type="application/pdf"),
    )
    assert raw.status_code == 200, raw.text
    report = raw.json()
    assert (report["verdict"], report["clean"], report["integrity_only"]) == ("valid", True, True)
    assert report["document_sha256"] == hashlib.sha256(content).hexdigest()
    (signature,) = report["signatures"]
    assert signature["indication"] == "TOTAL-PASSED"
    assert signature["sub_indication"] is None
    assert signature["signer"]["identifiers"] == [
        {"type": "tax", "value": "0106489944-001", "malformed": False, "prefix": "MST"}
    ]
    assert signature["claimed_signing_time"] == "2026-11-22T08:00:00Z"
    part = await door.http.post(
        "/v1/verifications", files={"document": ("b.pdf", content)}, headers=door.headers("verify")
    )
    assert part.json()["document_sha256"] == report["document_sha256"]
    assert door.services.verifier.header is not None
    assert door.services.verifier.header.file_name == "b.pdf"


async def test_a_detached_signature_is_verified_with_its_content(door: Door) -> None:
    content = bytes(range(256)) * 8000
    files = [("document", ("letter.p7s", b"\x30\x03cms")), ("detached", ("letter.pdf", content))]
    answer = await door.http.post("/v1/verifications", files=files, headers=door.headers("verify"))
    assert answer.status_code == 200, answer.text
    assert door.services.verifier.document == b"\x30\x03cms"
    assert door.services.verifier.contents == {"letter.pdf": content}


async def test_a_large_document_streams_before_its_end_is_known(door: Door) -> None:
    content = bytes(1_600_000)
    answer = await door.http.post(
        "/v1/verifications", files={"document": ("a.pdf", content)}, headers=door.headers("verify")
    )
    assert answer.status_code == 200, answer.text
    assert door.services.verifier.document == content


@pytest.mark.parametrize(
    "files",
    [
        [("detached", ("a", b"x")), ("document", ("b", b"y"))],
        [("document", ("b", b"y")), ("other", ("a", b"x"))],
        [("document", ("b", b"y")), ("detached", ("a", b"x")), ("document", ("a", b"x"))],
        [("document", ("b", b"y")), ("request", (None, b"{}", "application/json"))],
        [("detached", ("a", b"x"))],
    ],
)
async def test_parts_to_verify_have_one_order(door: Door, files: list[Any]) -> None:
    answer = await door.http.post("/v1/verifications", files=files, headers=door.headers("verify"))
    assert (answer.status_code, answer.json()["code"]) == (400, "PART_ORDER")


async def test_several_contents_travel_by_their_names(door: Door) -> None:
    files = [
        ("document", ("chu-ky.xml", b"<Signature/>")),
        ("detached", ("một.txt", b"1")),
        ("detached", ("hai.txt", b"")),
    ]
    answer = await door.http.post("/v1/verifications", files=files, headers=door.headers("verify"))
    assert answer.status_code == 200, answer.text
    assert door.services.verifier.contents == {"một.txt": b"1", "hai.txt": b""}


async def test_all_that_can_be_asked_reaches_the_verifier(door: Door) -> None:
    owner: dict[str, Any] = {
        "name": "Nguyễn Văn An",
        "citizen_id": "012345678901",
        "head_office_counts": True,
    }
    answer = await verify(
        door,
        valid_at="2026-03-01T07:00:00+07:00",
        owner=owner,
        report="html",
        language="vi",
        keep_evidence=True,
        reference="HS-1",
    )
    assert answer.status_code == 200, answer.text
    header = asked(door)
    assert header.valid_at.ToJsonString() == "2026-03-01T00:00:00Z"
    assert header.owner == messages.DossierOwner(**owner)
    assert (header.report_form, header.report_language) == (
        messages.REPORT_FORM_HTML,
        messages.REPORT_LANGUAGE_VI,
    )
    assert (header.keep_evidence, header.evidence_reference) == (True, "HS-1")
    assert answer.content == b"<p>report</p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.headers["x-kyso-verdict"], answer.headers["x-kyso-clean"]) == ("valid", "true")
    assert answer.headers["x-kyso-evidence-id"] == "evd_1"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", messages.REPORT_FORM_HTML),
        ("application/pdf", messages.REPORT_FORM_PDF),
        ("application/xml", messages.REPORT_FORM_ETSI),
        ("application/json, text/html", messages.REPORT_FORM_UNSPECIFIED),
        ("*/*", messages.REPORT_FORM_UNSPECIFIED),
    ],
)
async def test_accept_chooses_the_form_where_nothing_else_does(door: Door, accept: str, form: int) -> None:
    assert (await verify(door, accept=accept)).status_code == 200
    assert asked(door).report_form == form
    assert (await verify(door, "?report=etsi", accept)).status_code == 200
    assert asked(door).report_form == messages.REPORT_FORM_ETSI


@pytest.mark.parametrize(
    ("address", "request_", "field"),
    [
        ("?report=doc", {}, "report"),
        ("?language=fr", {}, "language"),
        ("?valid_at=yesterday", {}, "valid_at"),
        ("?keep_evidence=yes", {}, "keep_evidence"),
        ("?owner=An", {}, "owner"),
        ("?reference=HS-1", {}, "reference"),
        ("?include_evidence=true&report=pdf", {}, "include_evidence"),
        ("?keep_evidence=true", {"keep_evidence": True}, "keep_evidence"),
        ("?valid_at=2026-03-01T00:00:00Z", {"valid_at": "2026-03-01T00:00:00Z"}, "valid_at"),
        ("", {"owner": "An"}, "owner"),
        ("", {"owner": {"age": 5}}, "owner.age"),
        ("", {"report": "doc"}, "report"),
        ("", {"sign": True}, "sign"),
        ("", {"file_name": "../x"}, "filename"),
    ],
)
async def test_what_is_asked_wrongly_is_named(
    door: Door, address: str, request_: dict[str, Any], field: str
) -> None:
    answer = await verify(door, address, **request_)
    assert (answer.status_code, answer.json()["code"]) == (400, "FIELD_INVALID"), answer.text
    assert answer.json()["field"] == field


async def test_evidence_comes_back_within_the_report(door: Door) -> None:
    answer = await verify(door, "?include_evidence=true")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [(one["kind"], base64.b64decode(one["data"])) for one in document["evidence"]] == [
        ("certificate", b"leaf"),
        ("crl", bytes(300_000)),
    ]
    assert document["evidence"][0]["sha256"] == hashlib.sha256(b"leaf").hexdigest()
    described = (await door.http.get("/openapi.json")).json()
    for schema, value in (("Verification", document), ("UsedEvidence", document["evidence"][1])):
        root = {"$ref": f"#/components/schemas/{schema}", "components": described["components"]}
        Draft202012Validator(root).validate(value)


async def extract(door: Door, address: str = "") -> Any:
    headers = door.headers("verify", Content_Type="application/pdf")
    return await door.http.post(f"/v1/documents:extract{address}", content=PDF, headers=headers)


async def test_one_original_comes_back_as_it_is(door: Door) -> None:
    door.services.verifier.originals = [("thư.pdf", b"%PDF-original")]
    answer = await extract(door)
    assert answer.status_code == 200, answer.text
    assert answer.content == b"%PDF-original"
    assert answer.headers["content-type"] == "application/pdf"
    assert "filename*=UTF-8''th%C6%B0.pdf" in answer.headers["content-disposition"]
    assert answer.headers["x-kyso-verdict"] == "valid"
    assert asked(door).include_originals


async def test_several_originals_come_back_in_an_archive(door: Door) -> None:
    originals = [("một.txt", bytes(250_000)), ("hai.bin", b""), ("ba.txt", bytes(range(256)))]
    door.services.verifier.originals = originals
    answer = await extract(door)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert [(name, archive.read(name)) for name in archive.namelist()] == originals


async def test_nothing_to_take_out_is_said_so(door: Door) -> None:
    door.services.verifier.originals = []
    answer = await extract(door)
    assert (answer.status_code, answer.json()["code"]) == (422, "ORIGINAL_MISSING")
    assert answer.json()["verdict"] == "valid"
    unknown = await extract(door, "?keep_evidence=true")
    assert (unknown.status_code, unknown.json()["field"]) == (400, "keep_evidence")


async def test_kept_evidence_is_listed_read_fetched_and_deleted(door: Door) -> None:
    headers = door.headers("verify")
    listed = await door.http.get(
        f"/v1/evidence?document_sha256={'ab' * 32}&reference=HS-1&page_size=10", headers=headers
    )
    assert listed.status_code == 200, listed.text
    (row,) = listed.json()["evidence"]
    assert "files" not in row
    last = door.services.evidence.last
    assert (last.document_sha256, last.reference, last.page_size) == (b"\xab" * 32, "HS-1", 10)
    shown = (await door.http.get("/v1/evidence/evd_1", headers=headers)).json()
    described = (await door.http.get("/openapi.json")).json()
    for schema, value in (("Evidence", shown), ("EvidenceList", listed.json())):
        root = {"$ref": f"#/components/schemas/{schema}", "components": described["components"]}
        Draft202012Validator(root).validate(value)
    (file,) = shown["files"]
    fetched = await door.http.get(file["url"], headers=headers)
    assert fetched.status_code == 200, fetched.text
    assert hashlib.sha256(fetched.content).hexdigest() == file["sha256"]
    assert fetched.headers["content-type"] == "application/pkix-crl"
    deleted = await door.http.delete("/v1/evidence/evd_1", headers=headers)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert door.services.evidence.deleted == ["evd_1"]


async def test_evidence_is_asked_for_in_order(door: Door) -> None:
    headers = door.headers("verify")
    for address, status, code in (
        ("/v1/evidence/evd_2", 404, "NOT_FOUND"),
        ("/v1/evidence/evd_1/files/ab", 404, "NOT_FOUND"),
        ("/v1/evidence?document_sha256=ab", 400, "FIELD_INVALID"),
    ):
        answer = await door.http.get(address, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    other = await door.http.get("/v1/evidence", headers=door.headers("sign:hash"))
    assert (other.status_code, other.json()["code"]) == (403, "SCOPE_MISSING")
