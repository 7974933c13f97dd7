"""Verification over REST on the whole platform: reports, evidence kept and deleted, contents, owner, another time, originals."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from lxml import etree

from kyso_client.cli import run as kyso
from tests.support.rest_documents import MAIL, XML, pdf, sign, text_file
from tests.support.world import Client, World, until

TAX_CODE = "0106793535"
"""Of the subscriber whose credentials sign here."""


def verify(
    world: World,
    document: bytes,
    *detached: tuple[str, bytes],
    client: Client | None = None,
    path: str = "/v1/verifications",
    **request: Any,
) -> httpx.Response:
    files: list[Any] = [("request", (None, json.dumps(request), "application/json"))]
    files.append(("document", ("tài liệu", document, "application/octet-stream")))
    files += [("detached", (name, content, "application/octet-stream")) for name, content in detached]
    return world.http.post(path, files=files, headers=world.headers(client=client))


def report_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture(scope="module")
def signed_pdf(world: World) -> bytes:
    return sign(world, {"format": "pades", "level": "B-T"}, pdf("verification")).content


# --- reports ------------------------------------------------------------------------------------------------------


def test_the_report_has_what_people_must_be_told(world: World, signed_pdf: bytes) -> None:
    report = report_of(verify(world, signed_pdf))
    assert (report["verdict"], report["clean"], report["format"]) == ("valid", True, "PDF")
    (signature,) = report["signatures"]
    assert signature["signing_time_source"] == "signature_time_stamp"
    assert signature["signer"]["organization"]
    assert signature["status_source"]["kind"] == "crl"
    assert signature["status_source"]["next_update"]
    assert (report["valid_at"], report["owner"], report["evidence_id"]) == (None, None, None)


@pytest.mark.parametrize(
    ("form", "media_type", "start"),
    [
        ("html", "text/html", b"<!DOCTYPE html>"),
        ("pdf", "application/pdf", b"%PDF-"),
        ("etsi", "application/xml", b"<?xml"),
    ],
)
def test_the_report_comes_in_every_form(
    world: World, signed_pdf: bytes, form: str, media_type: str, start: bytes
) -> None:
    answer = verify(world, signed_pdf, report=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.content.startswith(start)
    assert (answer.headers["x-kyso-verdict"], answer.headers["x-kyso-clean"]) == ("valid", "true")
    accepted = world.http.post(
        "/v1/verifications",
        content=signed_pdf,
        headers=world.headers() | {"Accept": media_type, "Content-Type": "application/pdf"},
    )
    assert accepted.content.startswith(start)


def test_a_page_speaks_the_language_that_is_asked_for(world: World, signed_pdf: bytes) -> None:
    broken = signed_pdf.replace(b"verification", b"verificatiom", 1)
    for language, other in (("vi", "en"), ("en", "vi")):
        page = verify(world, broken, report="html", language=language).text
        assert f'<html lang="{language}">' in page
        assert f'lang="{other}"' not in page


def test_the_etsi_report_names_the_indication(world: World, signed_pdf: bytes) -> None:
    root = etree.fromstring(verify(world, signed_pdf, report="etsi").content)
    indications = [element.text for element in root.iter("{*}MainIndication")]
    assert "urn:etsi:019102:mainindication:total-passed" in indications


# --- evidence -----------------------------------------------------------------------------------------------------


def test_evidence_comes_back_with_the_report(world: World, signed_pdf: bytes) -> None:
    report = report_of(verify(world, signed_pdf, include_evidence=True))
    found: dict[str, list[bytes]] = {}
    for one in report["evidence"]:
        data = base64.b64decode(one["data"])
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
        found.setdefault(one["kind"], []).append(data)
    certificates = {
        x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in found["certificate"]
    }
    assert {c["subject"] for c in report["signatures"][0]["path"]} <= certificates
    crls = [x509.load_der_x509_crl(der) for der in found["crl"]]
    assert len({crl.issuer for crl in crls}) >= 2
    assert len(found["time_stamp"]) == 1


def test_evidence_is_kept_for_the_own_agency_and_deleted(world: World, signed_pdf: bytes) -> None:
    reference = f"HS-{world.new_key()}"
    answer = verify(world, signed_pdf, report="html", keep_evidence=True, reference=reference)
    identifier = answer.headers["x-kyso-evidence-id"]
    again = report_of(verify(world, signed_pdf, keep_evidence=True, reference=reference))
    assert again["evidence_id"] == identifier, "the same evidence is kept once"
    colleague = world.new_client(world.agency)
    stranger = world.new_client(world.other_agency)
    for client in (world.client, colleague):
        shown = world.http.get(f"/v1/evidence/{identifier}", headers=world.headers(client=client))
        assert shown.status_code == 200, shown.text
    record = shown.json()
    assert (record["reference"], record["verdict"], record["agency_id"]) == (reference, "valid", world.agency)
    assert record["document_sha256"] == hashlib.sha256(signed_pdf).hexdigest()
    for file in record["files"]:
        content = world.http.get(file["url"], headers=world.headers()).content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
    assert {file["kind"] for file in record["files"]} == {"report", "certificate", "crl", "time_stamp"}
    listed = world.http.get("/v1/evidence", params={"reference": reference}, headers=world.headers()).json()
    assert [row["id"] for row in listed["evidence"]] == [identifier]
    for client in (stranger, world.operator):
        headers = world.headers(client=client)
        assert world.http.get(f"/v1/evidence/{identifier}", headers=headers).status_code == 404
        assert world.http.delete(f"/v1/evidence/{identifier}", headers=headers).status_code == 404
        rows = world.http.get("/v1/evidence", params={"reference": reference}, headers=headers).json()
        assert rows["evidence"] == []
    deleted = world.http.delete(f"/v1/evidence/{identifier}", headers=world.headers())
    assert deleted.status_code == 204
    gone = world.http.get(f"/v1/evidence/{identifier}", headers=world.headers())
    assert (gone.status_code, gone.json()["code"]) == (404, "NOT_FOUND")
    assert world.http.get(record["files"][0]["url"], headers=world.headers()).status_code == 404
    told = [e["type"] for e in world.audit() if json.loads(e["data"]).get("evidence_id") == identifier]
    assert told == ["kyso.evidence.kept", "kyso.evidence.deleted"]


def test_evidence_needs_the_scope(world: World, signed_pdf: bytes) -> None:
    headers = {"Authorization": f"Bearer {world.token('sign:document')}"}
    for answer in (
        world.http.get("/v1/evidence", headers=headers),
        world.http.delete("/v1/evidence/evd_1", headers=headers),
        world.http.post(
            "/v1/documents:extract", content=signed_pdf, headers=headers | {"Content-Type": "application/pdf"}
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_MISSING")


# --- contents, owner, another time --------------------------------------------------------------------------------


def test_several_contents_are_found_by_their_names(world: World) -> None:
    files = [text_file("mot.txt"), text_file("hai.txt")]
    signature = sign(world, {"format": "xades", "packaging": "detached"}, *files).content
    contents = [(name, content) for _, name, content, _ in files]
    whole = report_of(verify(world, signature, *contents))
    assert whole["verdict"] == "valid", whole
    assert report_of(verify(world, signature, *contents[::-1]))["verdict"] == "valid"
    swapped = [(contents[0][0], contents[1][1]), (contents[1][0], contents[0][1])]
    assert report_of(verify(world, signature, *swapped))["verdict"] == "invalid"
    assert report_of(verify(world, signature, contents[0]))["verdict"] != "valid"


def test_a_detached_signature_is_of_any_size(world: World) -> None:
    file = text_file()
    signature = sign(world, {"format": "cades"}, file).content
    assert report_of(verify(world, signature, (file[1], file[2])))["verdict"] == "valid"
    twice = verify(world, signature, (file[1], file[2]), (file[1], file[2]))
    assert (twice.status_code, twice.json()["code"]) == (400, "FIELD_INVALID")


def test_signers_are_compared_with_the_owner(world: World, signed_pdf: bytes) -> None:
    same = report_of(verify(world, signed_pdf, owner={"tax_code": TAX_CODE}))
    assert (same["owner"]["result"], same["clean"]) == ("match", True)
    other = report_of(verify(world, signed_pdf, owner={"tax_code": "0100109106", "name": "Công ty Khác"}))
    assert (other["verdict"], other["owner"]["result"], other["clean"]) == ("valid", "mismatch", False)
    assert other["signatures"][0]["owner"]["vi"]
    wrong = verify(world, signed_pdf, owner={"tax_code": "12"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "owner")
    in_address = world.http.post(
        "/v1/verifications?owner=012345678901",
        content=signed_pdf,
        headers=world.headers() | {"Content-Type": "application/pdf"},
    )
    assert in_address.status_code == 400, "a citizen number does not belong into an address"


def test_a_document_is_judged_for_another_time(world: World) -> None:
    credential = world.new_credential("ECDSA-P256")
    signed = sign(world, {"format": "pades", "credential_id": credential}, pdf("another time")).content
    assert report_of(verify(world, signed))["verdict"] == "valid"
    signed_at = datetime.now(UTC)
    # A CRL tells whole seconds: the revocation must fall into a later one.
    until("the next second", lambda: True if datetime.now(UTC).second != signed_at.second else None)
    body = {"ground": "post_changed", "request_reference": "QĐ 12"}
    assert world.post(f"/v1/credentials/{credential}:revoke", body).status_code == 200

    def revoked() -> bool | None:
        (signature,) = report_of(verify(world, signed))["signatures"]
        return signature["sub_indication"] == "REVOKED_NO_POE" or None

    until("the verifier to have the new CRL", revoked)
    before = report_of(verify(world, signed, valid_at=signed_at.isoformat()))
    assert before["verdict"] == "valid", before
    assert "NOT_NOW" in [warning["code"] for warning in before["warnings"]]
    assert before["valid_at"] is not None
    assert before["signatures"][0]["signing_time_source"] == "stated_by_caller"
    long_ago = report_of(verify(world, signed, valid_at="2001-01-01T00:00:00Z"))
    assert long_ago["verdict"] == "indeterminate"
    future = verify(world, signed, valid_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (future.status_code, future.json()["field"]) == (400, "valid_at")


# --- originals ----------------------------------------------------------------------------------------------------


def extract(world: World, document: bytes, *detached: tuple[str, bytes]) -> httpx.Response:
    return verify(world, document, *detached, path="/v1/documents:extract")


def test_what_was_signed_comes_out_of_every_format(world: World, signed_pdf: bytes) -> None:
    file = text_file("báo cáo.txt")
    once = extract(world, signed_pdf)
    assert (once.headers["content-type"], once.content) == ("application/pdf", signed_pdf)
    cms = sign(world, {"format": "cades", "packaging": "enveloping"}, file).content
    assert extract(world, cms).content == file[2]
    container = sign(world, {"format": "asic_s"}, file).content
    taken = extract(world, container)
    assert taken.content == file[2]
    assert "b%C3%A1o%20c%C3%A1o.txt" in taken.headers["content-disposition"]
    content = json.dumps({"mã": 1}).encode()
    token = sign(
        world,
        {"format": "jades", "json_serialization": "compact", "credential_id": world.ec_credential},
        ("document", "hồ sơ.json", content, "application/json"),
    ).content
    assert extract(world, token).content == content
    mail = sign(world, {"format": "smime"}, ("document", "thư.eml", MAIL, "message/rfc822")).content
    assert "Kính gửi Ủy ban nhân dân phường".encode() in extract(world, mail).content


def test_a_container_of_several_comes_out_as_an_archive(world: World) -> None:
    files = [text_file("một.txt"), text_file("hai.txt"), pdf()]
    answer = extract(world, sign(world, {"format": "asic_e"}, *files).content)
    assert (answer.headers["content-type"], answer.headers["x-kyso-originals"]) == ("application/zip", "3")
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {n: c for _, n, c, _ in files}


def test_nothing_comes_out_that_no_intact_signature_is_over(world: World) -> None:
    file = text_file()
    cms = sign(world, {"format": "cades", "packaging": "enveloping"}, file).content
    broken = cms.replace(file[2], b"X" + file[2][1:])
    for document in (broken, sign(world, {"format": "cades"}, file).content, XML):
        answer = extract(world, document)
        assert (answer.status_code, answer.json()["code"]) == (422, "ORIGINAL_MISSING"), answer.text


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_does_it_all(
    world: World, signed_pdf: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, signed = tmp_path / "secret", tmp_path / "thư.pdf"
    secret.write_text(world.client.secret)
    signed.write_bytes(signed_pdf)
    client = [
        "--url",
        world.platform.url,
        "--client-id",
        world.client.id,
        "--client-secret-file",
        str(secret),
        "--json",
    ]
    assert kyso(["verify", str(signed), "--report", "pdf", "-o", str(tmp_path / "report.pdf"), *client]) == 0
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert kyso(["verify", str(signed), "--extract", str(tmp_path / "originals"), *client]) == 0
    (original,) = (tmp_path / "originals").iterdir()
    assert original.read_bytes() == signed_pdf
    capsys.readouterr()
    reference = world.new_key()
    kept = [
        "--owner-tax",
        TAX_CODE,
        "--keep-evidence",
        "--reference",
        reference,
        "--evidence",
        str(tmp_path / "used"),
    ]
    assert kyso(["verify", str(signed), *kept, *client]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["owner"]["result"] == "match"
    assert len(list((tmp_path / "used").iterdir())) >= 5
    assert kyso(["evidence", report["evidence_id"], "-o", str(tmp_path / "kept"), "--delete", *client]) == 0
    assert (tmp_path / "kept" / "001-report.json").is_file()
    capsys.readouterr()
    assert kyso(["evidence", "--reference", reference, *client]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"] == []
