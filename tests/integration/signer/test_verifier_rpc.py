"""The signer's way to the verifier: a real verifier process' service behind mutual TLS, with real workers, openssl outside."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.errors import (
    BodyTooLarge,
    EvidenceUnavailable,
    FieldInvalid,
    PersonSignatureMissing,
    ServiceUnavailable,
    TimeStampUnavailable,
)
from services.kernel.runtime.config import RpcClientSettings
from services.kernel.runtime.rpc import open_channel
from services.signer.verifier_rpc import VerifierRpc
from tests.support.outside_authority import VALID, addresses, crl, der, leaf
from tests.support.outside_server import HOST, outside_server
from tests.support.pdfs import one_page_pdf
from tests.support.pki import MeshCa
from tests.support.rpc import free_port
from tests.support.verifier_world import FRESH, present_hierarchy, running
from tests.unit.verifier.authority import Hierarchy, Signer, subject

PERSON = subject(common_name="Trần Thị Bình", organization_name="UBND phường Thử Nghiệm", title="Chủ tịch")
AGENCY = subject(
    common_name="UBND phường Thử Nghiệm", organization_name="UBND phường Thử Nghiệm", user_id="MST:0106793535"
)
DEVICE = subject(common_name="cong.example.vn", organization_name="UBND phường Thử Nghiệm")


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """A hierarchy that is valid now."""
    return present_hierarchy()


@pytest.fixture(scope="module")
def signers(hierarchy: Hierarchy) -> dict[str, Signer]:
    """A person, an agency and a device of it, and a person whom nobody trusts."""
    stranger = present_hierarchy()
    return {
        "person": hierarchy.issuing.signer(PERSON, **VALID),
        "agency": hierarchy.issuing.signer(AGENCY, **VALID),
        "device": hierarchy.issuing.signer(DEVICE, **VALID),
        "stranger": stranger.issuing.signer(PERSON, **VALID),
    }


def outside(*ports: int, **more: Any) -> dict[str, Any]:
    """Allow loopback at these ports."""
    return {"egress": {"hosts": [{"name": HOST, "ports": ports, "private_address": True}]}, **more}


async def chunks(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """Give a document as a session does."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_own_certificates_need_nobody_outside(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        found = await VerifierRpc(platform.channel).collect([der(hierarchy.signer.certificate)])
    assert found.certificates == (
        der(hierarchy.signer.certificate),
        hierarchy.issuing.der,
        hierarchy.root.der,
    )
    assert set(found.crls) == set(platform.registry.crls)
    assert found.ocsp_responses == ()


async def test_more_certificates_than_a_call_takes_are_asked_for_in_turn(
    mesh_ca: MeshCa, hierarchy: Hierarchy
) -> None:
    many = [der(leaf(hierarchy.issuing)) for _ in range(70)]
    async with running(mesh_ca, hierarchy, "signer") as platform:
        found = await VerifierRpc(platform.channel).collect([*many, many[0]])
    assert set(found.certificates) == {*many, hierarchy.issuing.der, hierarchy.root.der}
    assert len(found.certificates) == 72
    assert len(found.crls) == 2


async def test_what_is_missing_is_named(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        platform.registry.crls = [hierarchy.root.crl(**FRESH)]
        certificate = leaf(hierarchy.issuing, crls=["http://crl.example.vn/ca.crl"])
        with pytest.raises(EvidenceUnavailable) as caught:
            await VerifierRpc(platform.channel).collect([der(certificate)])
    assert f"{certificate.serial_number:x} of Issuing CA" in caught.value.message
    assert "NOT_ALLOWED" in caught.value.message
    assert caught.value.data == {"missing": 1, "reason": "NOT_ALLOWED"}
    assert "Nguyễn" not in caught.value.message


async def test_bytes_that_are_no_certificate_are_evidence_that_is_missing(
    mesh_ca: MeshCa, hierarchy: Hierarchy
) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        with pytest.raises(EvidenceUnavailable, match="cannot be read"):
            await VerifierRpc(platform.channel).collect([b"\x30\x00"])


async def test_a_verifier_without_trust_or_out_of_reach_is_evidence_that_is_missing(
    mesh_ca: MeshCa, hierarchy: Hierarchy
) -> None:
    certificate = der(hierarchy.signer.certificate)
    async with running(mesh_ca, hierarchy, "signer", {"trust": {"max_age_seconds": 0.001}}) as platform:
        platform.registry.failure = ServiceUnavailable("away")
        with pytest.raises(EvidenceUnavailable, match="trust anchors"):
            await VerifierRpc(platform.channel).collect([certificate])
    target = RpcClientSettings(
        target=f"{HOST}:{free_port()}", server_name="verifier", tls=mesh_ca.tls("signer")
    )
    async with open_channel(target) as channel:
        with pytest.raises(EvidenceUnavailable):
            await VerifierRpc(channel).collect([certificate])
        with pytest.raises(TimeStampUnavailable):
            await VerifierRpc(channel).request_time_stamp("any", b"request")
        with pytest.raises(ServiceUnavailable):
            await VerifierRpc(channel).require(chunks(b"%PDF"))


def _pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture
def responder_port(tmp_path: Path, hierarchy: Hierarchy) -> Iterator[int]:
    """`openssl ocsp` as the issuing CA's delegated responder; it knows serial numbers 0x7001 (good), 0x7002 (revoked)."""
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    who = hierarchy.issuing.signer(
        subject(common_name="openssl OCSP"), key=key, usage=("digital_signature",),
        more=[purpose, (x509.OCSPNoCheck(), False)], **VALID,
    ).certificate  # fmt: skip
    files = {"key.pem": _pem(key)}
    files["responder.pem"] = who.public_bytes(serialization.Encoding.PEM)
    files["ca.pem"] = hierarchy.issuing.certificate.public_bytes(serialization.Encoding.PEM)
    files["index.txt"] = (
        b"V\t350101000000Z\t\t7001\tunknown\t/CN=good\n"
        b"R\t350101000000Z\t250101000000Z,superseded\t7002\tunknown\t/CN=bad\n"
    )
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    process = subprocess.Popen(
        ["openssl", "ocsp", "-index", "index.txt", "-port", "0", "-rsigner", "responder.pem", "-rkey", "key.pem",
         "-CA", "ca.pem", "-nmin", "60"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = re.search(r"ACCEPT .*:(\d+) ", line)
        assert port, line
        yield int(port[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def numbered(hierarchy: Hierarchy, serial: int, url: str) -> bytes:
    """Issue a certificate with this serial number that names an OCSP responder."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(common_name="By number"))
        .issuer_name(hierarchy.issuing.name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(VALID["not_before"])
        .not_valid_after(VALID["not_after"])
    )
    for extension, critical in addresses(ocsp_urls=[url]):
        builder = builder.add_extension(extension, critical)
    return der(builder.sign(hierarchy.issuing.key, hashes.SHA256()))


@pytest.mark.parametrize("nonce", [False, True])
async def test_openssls_responder_is_understood(
    mesh_ca: MeshCa, hierarchy: Hierarchy, responder_port: int, *, nonce: bool
) -> None:
    url = f"http://{HOST}:{responder_port}/"
    settings = outside(responder_port, evidence={"ocsp_nonce": nonce})
    async with running(mesh_ca, hierarchy, "signer", settings) as platform:
        platform.registry.crls = [hierarchy.root.crl(**FRESH)]
        verifier = VerifierRpc(platform.channel)
        statuses = []
        for serial in (0x7001, 0x7002):
            found = await verifier.collect([numbered(hierarchy, serial, url)])
            (answer,) = found.ocsp_responses
            response = ocsp.load_der_ocsp_response(answer)
            statuses.append(response.certificate_status)
            assert der(response.certificates[0]) in found.certificates
            assert (len(response.extensions) == 1) is nonce
        assert statuses == [ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED]
        with pytest.raises(EvidenceUnavailable, match="does not know the certificate"):
            await verifier.collect([numbered(hierarchy, 0x7003, url)])


async def test_large_lists_pass(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(8 * 1024 * 1024))
    large = crl(hierarchy.issuing, extensions=[(padding, False)])
    async with outside_server() as server:
        url = server.answer("/ca.crl", large)
        async with running(mesh_ca, hierarchy, "signer", outside(server.port)) as platform:
            platform.registry.crls = [hierarchy.root.crl(**FRESH)]
            found = await VerifierRpc(platform.channel).collect([der(leaf(hierarchy.issuing, crls=[url]))])
    assert large in found.crls


@pytest.fixture
def tsa_folder(tmp_path: Path, hierarchy: Hierarchy) -> Path:
    """A folder in which `openssl ts -reply` can work."""
    purpose = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
    unit = hierarchy.issuing.signer(subject(common_name="Outside TSU"), more=[purpose], **VALID)
    pem = serialization.Encoding.PEM
    (tmp_path / "tsu.key").write_bytes(_pem(unit.key))
    (tmp_path / "tsu.pem").write_bytes(unit.certificate.public_bytes(pem))
    (tmp_path / "ca.pem").write_bytes(hierarchy.issuing.certificate.public_bytes(pem))
    (tmp_path / "root.pem").write_bytes(hierarchy.root.certificate.public_bytes(pem))
    (tmp_path / "serial").write_text("01")
    (tmp_path / "ts.cnf").write_text(
        "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsu.pem\nsigner_key = tsu.key\n"
        "certs = ca.pem\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\n"
        "ess_cert_id_chain = no\ness_cert_id_alg = sha256\n"
    )
    return tmp_path


def _ts(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["openssl", "ts", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


async def test_a_time_stamp_of_an_outside_authority_is_one_that_openssl_verifies(
    mesh_ca: MeshCa, hierarchy: Hierarchy, tsa_folder: Path
) -> None:
    (tsa_folder / "content").write_bytes(b"what was signed")
    _ts(tsa_folder, "-query", "-data", "content", "-sha256", "-cert", "-out", "query.tsq")
    (tsa_folder / "password").write_text("pass word\n")

    def stamp(request: Any) -> bytes:
        (tsa_folder / "came.tsq").write_bytes(request.body)
        _ts(tsa_folder, "-reply", "-config", "ts.cnf", "-queryfile", "came.tsq", "-out", "reply.tsr")
        return (tsa_folder / "reply.tsr").read_bytes()

    async with outside_server() as server:
        authority = {"name": "house", "url": server.compute("/tsr", stamp), "user": "kyso"}
        authority["password_file"] = str(tsa_folder / "password")
        settings = outside(server.port, time_stamp_authorities=[authority])
        async with running(mesh_ca, hierarchy, "signer", settings) as platform:
            verifier = VerifierRpc(platform.channel)
            answer = await verifier.request_time_stamp("house", (tsa_folder / "query.tsq").read_bytes())
            with pytest.raises(FieldInvalid, match="known: house"):
                await verifier.request_time_stamp("other", b"request")
    (request,) = server.received
    assert request.headers["content-type"] == "application/timestamp-query"
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"kyso:pass word"
    (tsa_folder / "got.tsr").write_bytes(answer)
    said = _ts(tsa_folder, "-verify", "-queryfile", "query.tsq", "-in", "got.tsr",
               "-CAfile", "root.pem", "-untrusted", "ca.pem")  # fmt: skip
    assert "Verification: OK" in said


async def test_an_authority_that_fails_is_unavailable_with_its_reason(
    mesh_ca: MeshCa, hierarchy: Hierarchy
) -> None:
    async with outside_server() as server:
        big = {"name": "big", "url": server.answer("/big", bytes(70_000))}
        busy = {"name": "busy", "url": server.answer("/busy", b"later", 503)}
        settings = outside(server.port, time_stamp_authorities=[big, busy])
        async with running(mesh_ca, hierarchy, "signer", settings) as platform:
            verifier = VerifierRpc(platform.channel)
            for name, reason in (("big", "TOO_LARGE"), ("busy", "UNREACHABLE")):
                with pytest.raises(TimeStampUnavailable) as caught:
                    await verifier.request_time_stamp(name, b"request")
                assert caught.value.data == {"authority": name, "reason": reason}
            with pytest.raises(FieldInvalid):
                await verifier.request_time_stamp("big", bytes(5000))
    assert len(server.received) == 2


@pytest.fixture(scope="module")
def documents(signers: dict[str, Signer]) -> dict[str, bytes]:
    """Signed files; made outside the event loop, because the library that makes them runs its own."""
    person = signers["person"].pdf()
    return {
        "unsigned": one_page_pdf(),
        "person": person,
        "agency": signers["agency"].pdf(),
        "device": signers["device"].pdf(),
        "stranger": signers["stranger"].pdf(),
        "person, then person": signers["person"].pdf(person, "Second"),
        "person, then agency": signers["agency"].pdf(person, "Second"),
        "person, then stranger": signers["stranger"].pdf(person, "Second"),
        "person, bytes behind": person + b"\n% and more\n1 0 obj\n<<>>\nendobj\n",
    }


@pytest.mark.parametrize("name", ["person", "person, then person", "person, then agency"])
async def test_a_person_who_signed_the_whole_document_opens_the_way_for_the_seal(
    mesh_ca: MeshCa, hierarchy: Hierarchy, documents: dict[str, bytes], name: str
) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        verifier = VerifierRpc(platform.channel)
        await verifier.require(chunks(documents[name]))
        # Chunks of any size: what the verifier takes at once is smaller.
        await verifier.require(chunks(documents[name], 1 << 20))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unsigned", "NO_SIGNATURE"),
        ("agency", "NO_PERSON"),
        ("device", "NO_PERSON"),
        ("stranger", "NOT_VALID"),
        ("person, then stranger", "NOT_WHOLE"),
        ("person, bytes behind", None),
    ],
)
async def test_without_a_persons_valid_signature_the_seal_is_refused(
    mesh_ca: MeshCa, hierarchy: Hierarchy, documents: dict[str, bytes], name: str, reason: str | None
) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        with pytest.raises(PersonSignatureMissing) as caught:
            await VerifierRpc(platform.channel).require(chunks(documents[name]))
    assert reason is None or caught.value.data == {"reason": reason}
    assert caught.value.message.startswith("Chưa có chữ ký hợp lệ của người có thẩm quyền: ")
    assert " / No valid signature of the competent person yet: " in caught.value.message


async def test_a_revoked_person_is_none(
    mesh_ca: MeshCa, hierarchy: Hierarchy, signers: dict[str, Signer], documents: dict[str, bytes]
) -> None:
    async with running(mesh_ca, hierarchy, "signer") as platform:
        platform.registry.crls[1] = hierarchy.issuing.crl([(signers["person"].certificate, None)], **FRESH)
        with pytest.raises(PersonSignatureMissing) as caught:
            await VerifierRpc(platform.channel).require(chunks(documents["person"]))
    assert caught.value.data == {"reason": "NOT_VALID"}


async def test_a_document_that_the_verifier_does_not_take_is_said_to_be_too_large(
    mesh_ca: MeshCa, hierarchy: Hierarchy, documents: dict[str, bytes]
) -> None:
    async with running(mesh_ca, hierarchy, "signer", max_document_bytes=1024) as platform:
        with pytest.raises(BodyTooLarge):
            await VerifierRpc(platform.channel).require(chunks(documents["person"]))
