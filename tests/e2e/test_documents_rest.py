"""Over the REST API on the whole platform: extension, documents that stay with their callers, seals, batches, the command."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from kyso_client.cli import run as kyso
from tests.support.pdfs import one_page_pdf
from tests.support.pictures import LEADER, letter_pdf, seal_png, signature_png
from tests.support.rest_documents import (
    VALID,
    XML,
    lay_out,
    openssl_ts_verify,
    openssl_verify,
    pdf,
    post,
    run,
    sign,
    text_file,
    verdicts,
    xmlsec1_verify,
)
from tests.support.world import World, until


def test_a_pdf_is_extended_step_by_step(world: World, anchors: Path) -> None:
    signed = sign(world, {"format": "pades"}, pdf("extend")).content
    for level in ("B-T", "B-LT", "B-LTA"):
        file = ("document", "thư.pdf", signed, "application/pdf")
        answer = post(world, "/v1/documents:extend", {"level": level}, file)
        assert answer.status_code == 200, answer.text
        assert (answer.headers["content-type"], answer.headers["x-kyso-level"]) == ("application/pdf", level)
        assert answer.content.startswith(signed[:100])
        signed = answer.content
    assert verdicts(anchors, signed)[0] == VALID
    openssl_ts_verify(anchors, signed)


# --- what stays with the caller -----------------------------------------------------------------------------------


def test_a_file_that_stays_here_is_signed_by_its_digest(world: World, anchors: Path) -> None:
    content = "Đơn tố cáo, không rời khỏi đây".encode()
    asked = {"credential_id": world.rsa_credential, "format": "cades", "level": "B-T", "label": "none"}
    asked["document_type"] = "cong-van"
    prepared = world.post("/v1/documents:prepare", asked)
    assert prepared.status_code == 200, prepared.text
    assert (prepared.json()["hashed"], prepared.json()["digest_algorithm"]) == ("content", "SHA-256")
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    answer = world.post("/v1/documents:complete", {**asked, "content_digest": digest})
    assert answer.status_code == 200, answer.text
    assert openssl_verify(anchors, answer.content, content) == content


def test_a_pdf_that_stays_here_is_laid_out_by_pyhanko(world: World, anchors: Path) -> None:
    """What docs/hash-only.md tells, step by step."""
    asked = {"credential_id": world.rsa_credential, "format": "pades", "level": "B-T", "label": "none"}
    asked["document_type"] = "cong-van"
    told = world.post("/v1/documents:prepare", asked)
    assert told.status_code == 200, told.text
    prepared = told.json()
    laid_out, output = lay_out(one_page_pdf("stays here"), prepared)
    digest = base64.b64encode(laid_out.document_digest).decode()
    answer = world.post("/v1/documents:complete", {**asked, "content_digest": digest})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-signature"
    laid_out.fill_with_cms(output, answer.content)
    assert verdicts(anchors, output.getvalue()) == [VALID]
    (signature,) = PdfFileReader(BytesIO(output.getvalue())).embedded_regular_signatures
    assert str(signature.sig_object["/SubFilter"]) == "/ETSI.CAdES.detached"


def test_a_digest_takes_a_second_signer(world: World, anchors: Path) -> None:
    file = text_file()
    first = sign(world, {"format": "cades"}, file).content
    digest = base64.b64encode(hashlib.sha256(file[2]).digest()).decode()
    request = {"format": "cades", "cms_relation": "parallel", "credential_id": world.ec_credential}
    container = ("signature", "a.p7s", first, "application/pkcs7-signature")
    both = sign(world, {**request, "content_digest": digest}, container).content
    assert openssl_verify(anchors, both, file[2]) == file[2]
    printed = run(
        anchors, "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", "container", "-noout"
    )
    signers = printed[printed.index("signerInfos:") :]
    assert signers.count("issuerAndSerialNumber") == 2


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
def test_a_pdf_that_stays_here_is_not_laid_out_in_vain(world: World, level: str) -> None:
    asked = {"credential_id": world.rsa_credential, "format": "pades", "level": level, "label": "none"}
    answer = world.post("/v1/documents:prepare", {**asked, "document_type": "cong-van"})
    assert (answer.status_code, answer.json()["field"]) == (400, "level"), answer.text


# --- many ---------------------------------------------------------------------------------------------------------


def test_a_batch_is_signed_and_fetched(world: World, anchors: Path) -> None:
    keys = [f"{number}.pdf" for number in range(1030, 1036)]
    box = {"page": 1, "left": 100, "bottom": 200, "width": 80, "height": 60}
    request = {
        "credential_id": world.ec_credential, "format": "pades", "level": "B-T", "wait_seconds": 30,
        "pdf": {"visible": {"profile": "free", "box": box, "lines": ["{time}"]}},
        "items": [{"key": key, "reference": key} for key in keys] + [{"key": "no.pdf"}],
    }  # fmt: skip
    files = [
        ("image", "dấu.png", seal_png(), "image/png"),
        *((key, key, one_page_pdf(key), "application/pdf") for key in keys),
    ]
    answer = post(
        world, "/v1/signatures:batch", request, *files, ("no.pdf", "no.pdf", b"no PDF", "application/pdf")
    )
    assert answer.status_code == 200, answer.text
    outcomes = answer.json()["outcomes"]
    assert [row["key"] for row in outcomes] == [*keys, "no.pdf"]
    assert [row["state"] for row in outcomes[:-1]] == ["signed"] * len(keys), outcomes
    assert outcomes[-1]["error"]["code"] == "DOCUMENT_NOT_PDF"
    for row in outcomes[:-1]:
        document = world.http.get(row["document_url"], headers=world.headers())
        assert document.headers["x-kyso-level"] == "B-T"
        assert verdicts(anchors, document.content) == [VALID]
        (signature,) = PdfFileReader(BytesIO(document.content)).embedded_regular_signatures
        assert [float(side) for side in signature.sig_field["/Rect"]] == [100, 200, 180, 260]


def test_a_container_is_signed_later(world: World) -> None:
    files = [text_file("mot.txt"), text_file("hai.txt")]
    request = {"credential_id": world.ec_credential, "format": "asic_e", "mode": "async"}
    accepted = post(world, "/v1/signatures", request, *files)
    assert accepted.status_code == 202, accepted.text
    path = accepted.headers["location"]

    def ended() -> dict[str, Any] | None:
        state: dict[str, Any] = world.http.get(path, headers=world.headers()).json()
        return state if state["state"] not in {"accepted", "begun"} else None

    assert until("the job to end", ended)["state"] == "signed"
    document = world.http.get(f"{path}/document", headers=world.headers())
    with zipfile.ZipFile(BytesIO(document.content)) as container:
        assert {"mot.txt", "hai.txt"} < set(container.namelist())


# --- every format, extended ---------------------------------------------------------------------------------------

JSON = ("document", "hồ sơ.json", b'{"so": "1030/UBND-VX"}', "application/json")
SIGNED = {
    "cades detached": ({"format": "cades"}, [text_file()], "B-LTA"),
    "cades enveloping": ({"format": "cades", "packaging": "enveloping"}, [text_file()], "B-LTA"),
    "xades": ({"format": "xades"}, [("document", "a.xml", XML, "application/xml")], "B-LTA"),
    "xades detached": ({"format": "xades", "packaging": "detached"}, [text_file("a.txt")], "B-LTA"),
    "jades": ({"format": "jades", "json_serialization": "flattened"}, [JSON], "B-LT"),
    "asic_s": ({"format": "asic_s"}, [text_file("a.txt")], "B-LTA"),
    "asic_e": (
        {"format": "asic_e", "asic_signature": "cades"},
        [text_file("a.txt"), text_file("b.txt")],
        "B-LTA",
    ),
}


@pytest.mark.parametrize("name", list(SIGNED))
def test_every_format_is_extended_to_its_highest_level(world: World, anchors: Path, name: str) -> None:
    request, files, level = SIGNED[name]
    signed = post(world, "/v1/signatures", {"credential_id": world.ec_credential, **request}, *files)
    assert signed.status_code == 200, signed.text
    sent = [("document", "signed", signed.content, "")]
    if name.endswith("detached"):
        sent += [("content", *file[1:]) for file in files]
    answer = post(world, "/v1/documents:extend", {"level": level}, *sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-kyso-level"] == level
    extended = answer.content
    assert len(extended) > len(signed.content)
    if name.startswith("cades"):
        content = files[0][2]
        assert openssl_verify(anchors, extended, content if name.endswith("detached") else None) == content
    if name.startswith("xades"):
        for _, file_name, content, _ in files:
            (anchors / file_name).write_bytes(content)
        xmlsec1_verify(anchors, extended)
    if name.startswith("asic"):
        with zipfile.ZipFile(BytesIO(extended)) as container:
            assert {file[1] for file in files} < set(container.namelist())
            assert container.testzip() is None


def test_what_is_not_signed_is_not_extended(world: World) -> None:
    for content in (b"nothing", b"%PDF-1.7", b"{}", b"<a/>", b"PK\x03\x04"):
        answer = post(world, "/v1/documents:extend", {"level": "B-T"}, ("document", "a", content, ""))
        assert (answer.status_code, answer.json()["code"][:8]) == (422, "DOCUMENT"), answer.text


# --- the leader's signature and the agency's seal -----------------------------------------------------------------


def test_the_leader_signs_and_the_agency_seals(world: World, anchors: Path) -> None:
    person = world.post(
        "/v1/subscribers",
        {"agency_id": world.agency, "kind": "person", "name": LEADER, "citizen_number": "079085001234"},
        client=world.operator,
    )
    assert person.status_code == 201, person.text
    leader = world.new_credential("RSA-2048", subscriber=person.json()["id"])
    request = {"credential_id": leader, "format": "pades", "pdf": {"visible": {"profile": "nd30.person"}}}
    letter = ("document", "công văn.pdf", letter_pdf(), "application/pdf")
    signed = post(world, "/v1/signatures", request, letter, ("image", "ký.png", signature_png(), "image/png"))
    assert signed.status_code == 200, signed.text
    visible = {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}
    seal = {
        "credential_id": world.rsa_credential,
        "format": "pades",
        "level": "B-T",
        "pdf": {"visible": visible},
    }
    sealed = post(
        world,
        "/v1/signatures",
        seal,
        ("document", "công văn-signed.pdf", signed.content, "application/pdf"),
        ("image", "dấu.png", seal_png(), "image/png"),
    )
    assert sealed.status_code == 200, sealed.text
    assert sealed.content.startswith(signed.content)
    assert verdicts(anchors, sealed.content) == [VALID, VALID]
    touched = signed.content.replace(b"/MediaBox", b"/MediaBoy", 1)
    refused = post(
        world,
        "/v1/signatures",
        seal,
        ("document", "a.pdf", touched, "application/pdf"),
        ("image", "dấu.png", seal_png(), "image/png"),
    )
    assert refused.status_code == 422, refused.text


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_signs_a_folder_on_the_platform(
    world: World, anchors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(world.client.secret)
    monkeypatch.setenv("KYSO_URL", world.platform.url)
    monkeypatch.setenv("KYSO_CLIENT_ID", world.client.id)
    monkeypatch.setenv("KYSO_CLIENT_SECRET_FILE", str(secret))
    folder = tmp_path / "letters"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.pdf").write_bytes(one_page_pdf(f"letter {number}"))
    common = ["--credential", world.ec_credential, "--document-type", "cong-van"]
    assert kyso(["batch", str(folder), *common, "--level", "B-T"]) == 0
    names = sorted(path.name for path in (folder / "signed").glob("*.pdf"))
    assert names == [f"{number}-signed.pdf" for number in range(5)]
    for name in names:
        assert verdicts(anchors, (folder / "signed" / name).read_bytes()) == [VALID]
    assert kyso(["extend", str(folder / "signed" / "0-signed.pdf"), "--level", "B-LTA", *common[2:]]) == 0
    assert (folder / "signed" / "0-signed-extended.pdf").exists()
    assert kyso(["sign", str(folder / "0.pdf"), str(folder / "1.pdf"), *common, "--format", "asic_e"]) == 0
    assert zipfile.is_zipfile(folder / "0.pdf.asice")
