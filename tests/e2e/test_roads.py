"""Every road to a signature, each result judged by a tool that is not ours."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from tests.support.document_signers import pdfsig
from tests.support.pdfs import one_page_pdf
from tests.support.world import World, multipart_body, until

ALGORITHMS = {"SHA-256": hashes.SHA256(), "SHA-384": hashes.SHA384(), "SHA-512": hashes.SHA512()}


def _sign(world: World, content: bytes, key: str | None = None, **changes: Any) -> httpx.Response:
    request = {
        "credential_id": world.rsa_credential, "format": "pades", "level": "B-B", "digest_algorithm": "SHA-256",
        "document_type": "cong-van", "label": "none", "mode": "sync", "reference": "1030/UBND-VX",
    } | changes  # fmt: skip
    body, content_type = multipart_body([("request", json.dumps(request).encode()), ("document", content)])
    headers = world.headers() | {"Idempotency-Key": key or world.new_key(), "Content-Type": content_type}
    return world.http.post("/v1/signatures", content=body, headers=headers)


def _verify(world: World, content: bytes) -> dict[str, Any]:
    headers = world.headers() | {"Content-Type": "application/pdf"}
    answer = world.http.post("/v1/verifications", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


@pytest.mark.parametrize("algorithm", ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"])
def test_a_pdf_is_signed_verified_and_broken(world: World, algorithm: str, tmp_path: Path) -> None:
    answer = _sign(
        world, one_page_pdf(algorithm), credential_id=world.new_credential(algorithm), reason="Phê duyệt"
    )
    assert answer.status_code == 200, answer.text
    signed = answer.content
    file = tmp_path / "signed.pdf"
    file.write_bytes(signed)
    assert [one["Signature Validation"] for one in pdfsig(file)] == ["Signature is Valid."]
    report = _verify(world, signed)
    assert (report["verdict"], report["clean"]) == ("valid", True)
    assert [one["indication"] for one in report["signatures"]] == ["TOTAL-PASSED"]
    broken = bytearray(signed)
    broken[12] ^= 1
    report = _verify(world, bytes(broken))
    (one,) = report["signatures"]
    assert (one["indication"], one["sub_indication"]) == ("TOTAL-FAILED", "HASH_FAILURE")


def test_a_second_signature_keeps_the_first(world: World, tmp_path: Path) -> None:
    once = _sign(world, one_page_pdf("twice")).content
    twice = _sign(world, once, credential_id=world.ec_credential).content
    assert twice.startswith(once)
    file = tmp_path / "twice.pdf"
    file.write_bytes(twice)
    assert [one["Signature Validation"] for one in pdfsig(file)] == ["Signature is Valid."] * 2
    assert _verify(world, twice)["verdict"] == "valid"


def test_a_detached_cms_is_accepted_by_openssl_and_by_the_verifier(world: World, tmp_path: Path) -> None:
    content = "Nội dung công văn".encode() * 1000
    answer = _sign(world, content, format="cades", credential_id=world.ec_credential)
    assert answer.status_code == 200, answer.text
    (tmp_path / "content").write_bytes(content)
    (tmp_path / "container.p7s").write_bytes(answer.content)
    for ca in ("root", "issuing"):
        certificate = world.http.get(f"/pki/aia/{ca}.cer").content
        (tmp_path / f"{ca}.der").write_bytes(certificate)
        _openssl(tmp_path, "x509", "-inform", "DER", "-in", f"{ca}.der", "-out", f"{ca}.pem")
    _openssl(tmp_path, "cms", "-verify", "-binary", "-inform", "DER", "-in", "container.p7s", "-content", "content",
             "-CAfile", "root.pem", "-certfile", "issuing.pem", "-purpose", "any", "-out", "verified")  # fmt: skip
    body, content_type = multipart_body([("document", answer.content), ("detached", content)])
    headers = world.headers() | {"Content-Type": content_type}
    report = world.http.post("/v1/verifications", content=body, headers=headers).json()
    assert (report["verdict"], report["clean"]) == ("valid", True)


@pytest.mark.parametrize("digest", sorted(ALGORITHMS))
@pytest.mark.parametrize("scheme", ["RSA-PKCS1v1.5", "RSA-PSS", "ECDSA"])
def test_digests_are_signed_in_order(world: World, scheme: str, digest: str) -> None:
    algorithm = ALGORITHMS[digest]
    contents = [hashlib.new(algorithm.name, str(number).encode()).digest() for number in range(20)]
    body = {
        "credential_id": world.ec_credential if scheme == "ECDSA" else world.rsa_credential,
        "digest_algorithm": digest, "scheme": scheme, "document_type": "cong-van", "label": "none",
        "digests": [base64.b64encode(content).decode() for content in contents],
    }  # fmt: skip
    answer = world.post("/v1/hashes:sign", body)
    assert answer.status_code == 200, answer.text
    key = x509.load_der_x509_certificate(base64.b64decode(answer.json()["certificate_chain"][0])).public_key()
    for content, item in zip(contents, answer.json()["signatures"], strict=True):
        signature = base64.b64decode(item["signature"])
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(utils.Prehashed(algorithm)))
            continue
        assert isinstance(key, rsa.RSAPublicKey)
        pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        key.verify(
            signature, content, pss if scheme == "RSA-PSS" else padding.PKCS1v15(), utils.Prehashed(algorithm)
        )


def test_the_same_request_gets_the_same_answer(world: World) -> None:
    key, content = world.new_key(), one_page_pdf("again")
    first, second = _sign(world, content, key), _sign(world, content, key)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.headers["x-kyso-operation-id"] == second.headers["x-kyso-operation-id"]


def test_the_asynchronous_road(world: World, tmp_path: Path) -> None:
    accepted = _sign(world, one_page_pdf("later"), mode="async")
    assert accepted.status_code == 202, accepted.text
    operation = accepted.json()["operation_id"]
    path = f"/v1/signatures/{operation}"

    def ended() -> dict[str, Any] | None:
        state: dict[str, Any] = world.http.get(path, headers=world.headers()).json()
        return state if state["state"] not in {"accepted", "begun"} else None

    assert until("the job to end", ended)["state"] == "signed"
    document = world.http.get(f"{path}/document", headers=world.headers())
    assert document.status_code == 200, document.text
    file = tmp_path / "later.pdf"
    file.write_bytes(document.content)
    assert [one["Signature Validation"] for one in pdfsig(file)] == ["Signature is Valid."]
    assert _verify(world, document.content)["verdict"] == "valid"


def test_a_signature_is_in_the_audit_log_with_its_receipt(world: World) -> None:
    answer = _sign(world, one_page_pdf("audited"))
    operation = answer.headers["x-kyso-operation-id"]
    event = world.await_audit(lambda one: one["operation_id"] == operation)
    record = json.loads(event["data"])
    assert event["type"] == "kyso.signature.completed"
    assert (record["client_id"], record["agency_id"]) == (world.client.id, world.agency)
    assert (record["document_type"], record["reference"], record["label"]) == (
        "cong-van",
        "1030/UBND-VX",
        "none",
    )
    assert event["ledger_sequence"] == record["sequence"]


def test_what_the_ca_signs_is_in_the_audit_log(world: World) -> None:
    credential = world.new_credential("ECDSA-P256")
    answer = world.http.get(f"/v1/credentials/{credential}", headers=world.headers(client=world.operator))
    serial = answer.json()["serial_number"]

    def signed(wanted: dict[str, str]) -> dict[str, Any]:
        def is_wanted(event: dict[str, Any]) -> bool:
            record: dict[str, Any] = json.loads(event["data"])
            return wanted.items() <= record.items()

        return world.await_audit(is_wanted)

    certified = signed(
        {"outcome": "completed", "kind": "authority", "document_type": "certificate", "serial_number": serial}
    )
    assert json.loads(certified["data"])["key_id"] == "issuing"
    signed({"kind": "authority", "document_type": "certificate", "key_id": "root"})
    signed({"kind": "authority", "document_type": "crl", "key_id": "root", "reference": "1"})


def test_a_revoked_certificate_is_on_the_crl_and_fails(world: World, tmp_path: Path) -> None:
    credential = world.new_credential("ECDSA-P256")
    signed = _sign(world, one_page_pdf("revoked"), credential_id=credential).content
    assert _verify(world, signed)["verdict"] == "valid"
    answer = world.post(
        f"/v1/credentials/{credential}:revoke", {"ground": "key_exposed", "request_reference": "1/VP"}
    )
    assert answer.status_code == 200, answer.text
    serial = int(answer.json()["credential"]["serial_number"], 16)
    crl = x509.load_der_x509_crl(world.http.get("/pki/crl/issuing.crl").content)
    entry = crl.get_revoked_certificate_by_serial_number(serial)
    assert entry is not None
    (tmp_path / "issuing.crl").write_bytes(world.http.get("/pki/crl/issuing.crl").content)
    _openssl(tmp_path, "crl", "-inform", "DER", "-in", "issuing.crl", "-noout", "-text")

    def revoked() -> dict[str, Any] | None:
        (one,) = _verify(world, signed)["signatures"]
        return one if one["indication"] != "TOTAL-PASSED" else None

    one: dict[str, Any] = until("the verifier to know the new CRL", revoked)
    assert one["sub_indication"] in {"REVOKED", "REVOKED_NO_POE"}


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
