"""Time-stamps in files of their own: tokens and responses, of openssl and of ours, with and without what they are over."""

from __future__ import annotations

import random
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.verifier.domain import Code, DocumentReport, Indication, SignatureKind, SubIndication, Verdict
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.time_stamp_file import TimeStampFileFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support import tsa_world as tsa_support
from tests.support.document_signers import authority
from tests.support.time_world import START, days, unit
from tests.support.tsa_world import tsa_world

CONTENT = "Nghị quyết số 57".encode()
FORMATS = (TimeStampFileFormat(), CmsFormat())
POLICY = "1.3.6.1.4.1.99999.3161.1"
OPENSSL = f"""
[tsa]
default_tsa = own
[own]
serial = serial
crypto_device = builtin
signer_cert = unit.pem
signer_key = unit.key
certs = ca.pem
signer_digest = sha256
default_policy = {POLICY}
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
ess_cert_id_chain = no
"""


def verify(
    data: bytes, content: bytes | None = CONTENT, *, integrity: bool = False, late: bool = False
) -> DocumentReport:
    """Judge at START, or long after everything has ended."""
    at = days(400) if late else START
    trust = TrustMaterial((authority()[1].public_bytes(Encoding.DER),), (), (stamping.crl(at),))
    service = VerificationService(FORMATS, trust, integrity_only=integrity)
    return service.verify(SubmittedDocument(data, content), at)


def token(content: bytes = CONTENT, digest: DigestAlgorithm = DigestAlgorithm.SHA256) -> bytes:
    return stamping.token(stamping.imprint(content, digest), digest, START, unit())


def response(stamp: bytes, status: int = 0) -> bytes:
    """A TimeStampResp (RFC 3161 2.4.2)."""
    inside = {"status": {"status": status}, "time_stamp_token": cms.ContentInfo.load(stamp)}
    return bytes(tsp.TimeStampResp(inside).dump())


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A response that `openssl ts` made over the content."""
    folder = tmp_path_factory.mktemp("tsa")
    ours = unit()
    key = ours.key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "unit.key").write_bytes(key)
    for name, der in (("unit.pem", ours.certificate), ("ca.pem", authority()[1].public_bytes(Encoding.DER))):
        (folder / name).write_bytes(_pem(der))
    (folder / "openssl.cnf").write_text(OPENSSL)
    (folder / "serial").write_text("01\n")
    (folder / "content").write_bytes(CONTENT)
    _run(folder, "-query", "-data", "content", "-sha256", "-cert", "-out", "query")
    _run(folder, "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-out", "reply")
    return (folder / "reply").read_bytes()


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _run(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", "ts", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_a_token_over_its_content_passes(digest: DigestAlgorithm) -> None:
    for data in (token(digest=digest), response(token(digest=digest)), response(token(digest=digest), 1)):
        report = verify(data)
        (stamp,) = report.signatures
        assert (report.verdict, report.clean, report.format) == (Verdict.VALID, True, "RFC 3161"), (
            stamp.detail
        )
        assert (stamp.kind, stamp.format) == (SignatureKind.DOCUMENT_TIMESTAMP, "RFC 3161")
        assert stamp.signing_time.best == START
        assert stamp.signing_time.authority == "Kyso test TSU 2"
        assert stamp.coverage.covered_bytes == len(CONTENT)
        assert verify(data, integrity=True).clean


def test_what_openssl_makes_passes(openssl: bytes) -> None:
    """Made after START, so that trust is left out."""
    stamp = bytes(tsp.TimeStampResp.load(openssl)["time_stamp_token"].dump())
    for data in (openssl, stamp):
        assert verify(data, integrity=True).clean
        report = verify(data, b"another content", integrity=True)
        assert report.verdict is Verdict.INVALID


def test_another_content_fails() -> None:
    for data in (token(), response(token())):
        report = verify(data, b"another content")
        assert report.signatures[0].sub_indication is SubIndication.HASH_FAILURE
        assert Code.DOC_MODIFIED in {notice.code for notice in report.signatures[0].notices}
        assert report.verdict is Verdict.INVALID
        assert not verify(data, b"another content", integrity=True).clean


def test_without_the_content_nothing_is_said() -> None:
    for integrity in (False, True):
        report = verify(token(), None, integrity=integrity)
        assert report.signatures[0].sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
        assert report.verdict is Verdict.INDETERMINATE


def test_several_contents_are_none() -> None:
    service = VerificationService(FORMATS, TrustMaterial(), integrity_only=True)
    document = SubmittedDocument(token(), CONTENT, {"a.txt": CONTENT, "b.txt": b"another"})
    report = service.verify(document, START)
    assert report.signatures[0].sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND


def test_an_expired_unit_proves_nothing_any_more() -> None:
    report = verify(token(), late=True)
    assert report.signatures[0].sub_indication is SubIndication.OUT_OF_BOUNDS_NO_POE
    assert report.verdict is Verdict.INDETERMINATE


def test_a_strangers_token_is_not_trusted() -> None:
    foreign = unit(foreign=True)
    data = stamping.token(stamping.imprint(CONTENT), DigestAlgorithm.SHA256, START, foreign)
    report = verify(data)
    assert report.verdict is Verdict.INDETERMINATE
    assert not report.clean


def test_a_unit_that_may_do_more_is_refused() -> None:
    loose = unit(purposes=())
    data = stamping.token(stamping.imprint(CONTENT), DigestAlgorithm.SHA256, START, loose)
    assert verify(data).signatures[0].sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE


def test_a_time_of_the_future_is_refused() -> None:
    data = stamping.token(
        stamping.imprint(CONTENT), DigestAlgorithm.SHA256, START + timedelta(hours=5), unit()
    )
    assert verify(data).signatures[0].sub_indication is SubIndication.TIMESTAMP_ORDER_FAILURE


async def test_what_our_authority_answers(tmp_path: Path) -> None:
    world = await tsa_world()
    anchor = tsa_support.ca_certificate().public_bytes(Encoding.DER)
    for content, asked in ((CONTENT, ("-sha256", "-cert")), (b"", ("-sha512", "-cert"))):
        query = tsa_support.openssl_query(tmp_path, *asked, data=content)
        answer = await world.authority.respond(query)
        service = VerificationService(FORMATS, TrustMaterial((anchor, world.chain[0])), integrity_only=True)
        for over, expected in ((content, Verdict.VALID), (b"another content", Verdict.INVALID)):
            assert service.verify(SubmittedDocument(answer, over), START).verdict is expected
    refusal = await world.authority.respond(b"no request")
    assert verify(refusal).verdict is Verdict.UNSIGNED


def test_a_refusal_is_no_time_stamp() -> None:
    assert verify(bytes.fromhex("30053003020102")).verdict is Verdict.UNSIGNED


@pytest.mark.parametrize("data", [response(token(), 2), response(token()) + b"\0", token() + b"\0"])
def test_files_that_contradict_themselves_are_malformed(data: bytes) -> None:
    for integrity in (False, True):
        report = verify(data, integrity=integrity)
        assert report.verdict is Verdict.MALFORMED
        assert not report.clean


def test_other_messages_are_left_to_their_readers() -> None:
    other = cms.ContentInfo.load(token())
    other["content"]["encap_content_info"]["content_type"] = "data"
    for data in (b"", b"0", bytes(other.dump(force=True)), core.Integer(5).dump(), b"{}", b"0\x80\0\0"):
        assert not TimeStampFileFormat().recognises(data)


def test_no_protected_octet_is_free() -> None:
    """A mutant may be clean only where what the token says, and who says it, is unchanged."""
    data = token()
    original = _protected(data)
    chance = random.Random(3161)  # noqa: S311 - no secret; the same mutants again
    touched = 0
    for _ in range(1500):
        at = chance.randrange(len(data))
        mutant = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        report = verify(mutant)
        if report.clean:
            assert _protected(mutant) == original, at
            assert report.signatures[0].indication is Indication.TOTAL_PASSED
        touched += not report.clean
    assert touched > 1000


def _protected(data: bytes) -> tuple[bytes, ...]:
    """TSTInfo, signed attributes and signature value, as other code reads them."""
    message = cms.ContentInfo.load(data)["content"]
    (signer,) = message["signer_infos"]
    content = message["encap_content_info"]["content"].contents
    return content, signer["signed_attrs"].dump(), signer["signature"].native
