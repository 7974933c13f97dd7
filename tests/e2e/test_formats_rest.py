"""Every format over the REST API on the whole platform, each result judged by tools that are not ours."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import zipfile
from email import message_from_bytes
from email.policy import SMTP
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from jwcrypto import jwk, jws
from pyhanko.pdf_utils.reader import PdfFileReader

from tests.support.pictures import seal_png
from tests.support.rest_documents import (
    MAIL,
    VALID,
    XML,
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
from tests.support.world import World

# --- PAdES --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["B-B", "B-T", "B-LT", "B-LTA"])
def test_a_pdf_is_signed_at_every_level(world: World, anchors: Path, level: str) -> None:
    answer = sign(
        world, {"format": "pades", "level": level, "credential_id": world.ec_credential}, pdf(level)
    )
    assert answer.headers["x-kyso-level"] == level
    assert "x-kyso-level-missed" not in answer.headers
    assert verdicts(anchors, answer.content)[0] == VALID
    if level == "B-LTA":
        openssl_ts_verify(anchors, answer.content)
    reader = PdfFileReader(BytesIO(answer.content))
    unsigned = reader.embedded_regular_signatures[0].signer_info["unsigned_attrs"].native or []
    assert any(one["type"] == "signature_time_stamp_token" for one in unsigned) is (level != "B-B")
    assert ("/DSS" in reader.root) is (level in {"B-LT", "B-LTA"})
    assert len(reader.embedded_timestamp_signatures) == (1 if level == "B-LTA" else 0)


def test_a_copy_is_visible_and_certified(world: World, anchors: Path) -> None:
    visible = {"profile": "nd30.copy", "copy_form": "sao_y", "agency_name": "Ủy ban nhân dân xã An Bình"}
    request = {"format": "pades", "pdf": {"certification": "forms", "visible": visible}}
    signed = sign(world, request, pdf("copy")).content
    assert verdicts(anchors, signed) == [VALID]
    text = run(anchors, "pdftotext", "signed.pdf", "-")
    assert "SAO Y" in text
    assert "Ủy ban nhân dân xã An Bình" in " ".join(text.split())


def test_a_free_signature_with_an_image_stands_where_it_is_told(world: World, anchors: Path) -> None:
    box = {"page": 1, "left": 100, "bottom": 200, "width": 80, "height": 60}
    visible = {"profile": "free", "box": box, "lines": ["Đã nhận"]}
    image = ("image", "dấu.png", seal_png(), "image/png")
    signed = sign(world, {"format": "pades", "pdf": {"visible": visible}}, pdf("free"), image).content
    assert verdicts(anchors, signed) == [VALID]
    (signature,) = PdfFileReader(BytesIO(signed)).embedded_regular_signatures
    assert [float(side) for side in signature.sig_field["/Rect"]] == [100, 200, 180, 260]


def test_a_seal_without_a_persons_signature_is_refused(world: World) -> None:
    visible = {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}
    request = {"credential_id": world.rsa_credential, "format": "pades", "pdf": {"visible": visible}}
    answer = post(
        world, "/v1/signatures", request, pdf("seal"), ("image", "dấu.png", seal_png(), "image/png")
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "PERSON_SIGNATURE_MISSING"), answer.text


# --- CMS, JSON, mail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["B-B", "B-T", "B-LT", "B-LTA"])
def test_any_file_is_signed_by_cades(world: World, anchors: Path, level: str) -> None:
    file = text_file()
    answer = sign(world, {"format": "cades", "level": level}, file)
    assert (answer.headers["content-type"], answer.headers["x-kyso-level"]) == (
        "application/pkcs7-signature",
        level,
    )
    assert openssl_verify(anchors, answer.content, file[2]) == file[2]
    printed = run(
        anchors, "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", "container", "-noout"
    )
    assert ("timeStampToken" in printed) is (level != "B-B")


def test_cades_encapsulates_and_takes_a_second_signer(world: World, anchors: Path) -> None:
    file = text_file()
    first = sign(world, {"format": "cades", "packaging": "enveloping"}, file)
    assert openssl_verify(anchors, first.content, None) == file[2]
    detached = sign(world, {"format": "cades"}, file).content
    both = sign(
        world,
        {"format": "cades", "cms_relation": "parallel", "credential_id": world.ec_credential},
        file,
        ("signature", "báo cáo.txt.p7s", detached, "application/pkcs7-signature"),
    )
    assert openssl_verify(anchors, both.content, file[2]) == file[2]
    printed = run(
        anchors, "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", "container", "-noout"
    )
    assert (
        len(
            re.findall(
                r"signatureAlgorithm:\s*\n\s*algorithm: (?:rsaEncryption|sha256WithRSA|ecdsa)", printed
            )
        )
        >= 2
    )


def test_json_is_signed_for_jwcrypto(world: World) -> None:
    content = json.dumps({"mã": "1030/UBND-VX"}).encode()
    file = ("document", "hồ sơ.json", content, "application/json")
    for serialization, media_type in (
        ("compact", "application/jose"),
        ("flattened", "application/jose+json"),
    ):
        answer = sign(
            world,
            {"format": "jades", "json_serialization": serialization, "credential_id": world.ec_credential},
            file,
        )
        assert answer.headers["content-type"] == media_type
        token = jws.JWS()
        token.deserialize(answer.text)
        token.allowed_algs = ["ES256"]
        chain = token.jose_header["x5c"]
        leaf = base64.b64decode(chain[0])
        pem = subprocess.run(
            ["openssl", "x509", "-inform", "DER"], input=leaf, capture_output=True, check=True
        ).stdout
        # The header names sigT or iat and b64 as critical: jwcrypto is told that they are understood.
        for name in token.jose_header.get("crit", []):
            token.header_registry[name] = jws.JWSHeaderParameter(
                name, mustprotect=True, supported=True, check_fn=None
            )
        token.verify(jwk.JWK.from_pem(pem))
        assert token.payload == content


@pytest.mark.parametrize("packaging", ["detached", "enveloping"])
def test_mail_is_signed_for_openssl(world: World, anchors: Path, packaging: str) -> None:
    answer = sign(
        world, {"format": "smime", "packaging": packaging}, ("document", "thư.eml", MAIL, "message/rfc822")
    )
    (anchors / "signed.eml").write_bytes(answer.content)
    run(anchors, "openssl", "smime", "-verify", "-in", "signed.eml", "-CAfile", "root.pem", "-certfile", "issuing.pem",
        "-purpose", "any", "-out", "verified")  # fmt: skip
    verified = message_from_bytes((anchors / "verified").read_bytes(), policy=SMTP)
    assert verified.get_content().strip() == "Kính gửi Ủy ban nhân dân phường"


def test_mail_of_another_sender_is_refused(world: World) -> None:
    mail = MAIL.replace(b"vanthu@vidu.example", b"giamdoc@vidu.example")
    request = {"credential_id": world.rsa_credential, "format": "smime"}
    answer = post(world, "/v1/signatures", request, ("document", "thư.eml", mail, "message/rfc822"))
    assert (answer.status_code, answer.json()["code"]) == (422, "SENDER_MISMATCH"), answer.text


# --- XML, containers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["B-B", "B-T", "B-LT", "B-LTA"])
def test_xml_is_signed_at_every_level(world: World, anchors: Path, level: str) -> None:
    answer = sign(
        world,
        {"format": "xades", "level": level, "xml": {"parent": "/HSoKhaiThue/CKyDTu"}},
        ("document", "tờ khai.xml", XML, "application/xml"),
    )
    assert (answer.headers["content-type"], answer.headers["x-kyso-level"]) == ("application/xml", level)
    xmlsec1_verify(anchors, answer.content)
    assert (b"SignatureTimeStamp" in answer.content) is (level != "B-B")
    assert (b"ArchiveTimeStamp" in answer.content) is (level == "B-LTA")


def test_one_element_is_signed_by_plain_xmldsig(world: World, anchors: Path) -> None:
    answer = sign(
        world,
        {"format": "xmldsig", "xml": {"target_id": "t1", "parent": "/HSoKhaiThue/CKyDTu"}},
        ("document", "tờ khai.xml", XML, "application/xml"),
    )
    xmlsec1_verify(anchors, answer.content, "--id-attr:Id", "TTin")
    broken = answer.content.replace("quý I/2018".encode(), "quý II/2018".encode())
    with pytest.raises(AssertionError, match="xmlsec1"):
        xmlsec1_verify(anchors, broken, "--id-attr:Id", "TTin")


def test_several_files_are_signed_detached_by_xades(world: World, anchors: Path) -> None:
    files = [text_file("mot.txt"), text_file("hai.txt")]
    for _, name, content, _ in files:
        (anchors / name).write_bytes(content)
    answer = sign(world, {"format": "xades", "packaging": "detached"}, *files)
    assert all(f'URI="{name}"'.encode() in answer.content for _, name, _, _ in files)
    xmlsec1_verify(anchors, answer.content)


@pytest.mark.parametrize("level", ["B-B", "B-LTA"])
def test_one_file_goes_into_a_container(world: World, anchors: Path, level: str) -> None:
    file = text_file()
    answer = sign(world, {"format": "asic_s", "asic_signature": "cades", "level": level}, file)
    assert (answer.headers["content-type"], answer.headers["x-kyso-level"]) == (
        "application/vnd.etsi.asic-s+zip",
        level,
    )
    with zipfile.ZipFile(BytesIO(answer.content)) as container:
        assert container.read("mimetype") == b"application/vnd.etsi.asic-s+zip"
        assert container.read(file[1]) == file[2]
        signature = container.read("META-INF/signature.p7s")
    assert openssl_verify(anchors, signature, file[2]) == file[2]


def test_several_files_go_into_a_container(world: World, anchors: Path) -> None:
    files = [text_file("mot.txt"), text_file("hai.txt"), pdf()]
    answer = sign(world, {"format": "asic_e", "level": "B-T"}, *files)
    assert answer.headers["content-type"] == "application/vnd.etsi.asic-e+zip"
    with zipfile.ZipFile(BytesIO(answer.content)) as container:
        (name,) = [one for one in container.namelist() if re.fullmatch(r"META-INF/signatures.*\.xml", one)]
        assert {one[1] for one in files} < set(container.namelist())
        container.extractall(anchors)
        outer = container.read(name)
    inner = outer[outer.index(b"<ds:Signature ") : outer.rindex(b"</ds:Signature>") + len(b"</ds:Signature>")]
    assert b"SignatureTimeStamp" in inner
    for _, file_name, content, _ in files:
        assert (anchors / file_name).read_bytes() == content


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "files", "status", "code"),
    [
        ({"format": "jades", "level": "B-LTA"}, [text_file()], 400, "FIELD_INVALID"),
        ({"format": "smime", "level": "B-T"}, [("document", "a.eml", MAIL, "")], 400, "FIELD_INVALID"),
        ({"format": "asic_e", "packaging": "enveloped"}, [text_file()], 400, "FIELD_INVALID"),
        (
            {"format": "xades", "xml": {"target_id": "nothing"}},
            [("document", "a.xml", XML, "")],
            422,
            "TARGET_INVALID",
        ),
        (
            {"format": "xades"},
            [("document", "a.xml", b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "")],
            422,
            "DOCUMENT_DAMAGED",
        ),
        (
            {"format": "pades", "pdf": {"visible": {"profile": "free", "lines": ["x"], "anchor": {
                "text": "KHÔNG CÓ", "width": 100, "height": 40}}}},
            [pdf()],
            422,
            "PLACE_INVALID",
        ),
        (
            {"format": "pades", "pdf": {"visible": {"profile": "free", "box": {
                "page": 9, "left": 1, "bottom": 1, "width": 9, "height": 9}, "lines": ["x"]}}},
            [pdf()],
            422,
            "PLACE_INVALID",
        ),
        (
            {"format": "pades", "pdf": {"visible": {"profile": "free", "box": {
                "page": 1, "left": 1, "bottom": 1, "width": 9, "height": 9}}}},
            [pdf(), ("image", "a.png", b"GIF89a", "image/png")],
            422,
            "IMAGE_INVALID",
        ),
        ({"format": "pades", "level": "B-T", "time_stamp_authority": "nobody"}, [pdf()], 0, ""),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_what_cannot_be_signed_is_refused_and_said(
    world: World, request_: dict[str, Any], files: list[Any], status: int, code: str
) -> None:
    answer = post(world, "/v1/signatures", {"credential_id": world.rsa_credential, **request_}, *files)
    problem = answer.json()
    if not code:
        assert problem["code"] in {"LEVEL_NOT_REACHED", "FIELD_INVALID", "TIME_STAMP_UNAVAILABLE"}, problem
        return
    assert (answer.status_code, problem["code"]) == (status, code), problem


def test_a_level_that_cannot_be_reached_is_stated(world: World, anchors: Path) -> None:
    request = {"format": "pades", "level": "B-T", "time_stamp_authority": "nobody", "level_rule": "lower"}
    answer = sign(world, request, pdf("lower"))
    assert answer.headers["x-kyso-level"] == "B-B"
    assert answer.headers["x-kyso-level-missed"]
    assert verdicts(anchors, answer.content) == [VALID]
