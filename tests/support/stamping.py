"""What levels above B-B need, in memory: a time-stamp authority, CRLs and OCSP answers of the test signers' CA.

Built with foreign ASN.1 code (asn1crypto, cryptography's builders), so that no mistake of ours hides itself.
"""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as ocsp_builders
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import Evidence, Signed, TimeStampNeeded
from tests.support.document_signers import HASHES, authority
from tests.support.key_usage import SIGNER, key_usage

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.format import SignatureFormat
    from services.signer.formats.parameters import Level

POLICY = "1.3.6.1.4.1.99999.3161.1"
MAX_STEPS = 50
"""Of `raise_to`: a format that asks more often asks for ever."""
BEGUN = datetime.now(UTC).replace(microsecond=0)
"""When stamps and evidence are made, where nobody says another time: no test's "now" lies before it."""
_serials = itertools.count(1)


@dataclass(frozen=True)
class TimeStampUnit:
    """A key that may do nothing but stamp time, with its certificate (DER)."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes


@cache
def time_stamp_unit() -> TimeStampUnit:
    """Return the unit of this test run, certified by the CA of the test signers."""
    ca_key, ca = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    usage = key_usage(*SIGNER)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kyso test TSU")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        # RFC 3161 section 2.3: critical, and the only purpose.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    return TimeStampUnit(key, certificate.public_bytes(Encoding.DER))


def token(
    imprint: bytes, digest: DigestAlgorithm, at: datetime | None = None, unit: TimeStampUnit | None = None
) -> bytes:
    """Return a TimeStampToken (RFC 3161 section 2.4.2; DER ContentInfo) over an imprint, of `at` or BEGUN."""
    unit = unit or time_stamp_unit()
    certificate = asn1_x509.Certificate.load(unit.certificate)
    moment = (at or BEGUN).replace(microsecond=0)
    hashed = {"algorithm": digest.hashlib_name}
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": {"hash_algorithm": hashed, "hashed_message": imprint},
            "serial_number": next(_serials),
            "gen_time": core.GeneralizedTime(moment),
            "accuracy": {"seconds": 1},
        }
    )
    identifier = tsp.ESSCertIDv2({"cert_hash": DigestAlgorithm.SHA256.digest(unit.certificate)})
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [DigestAlgorithm.SHA256.digest(info.dump())]},
            {
                "type": "signing_certificate_v2",
                "values": [tsp.SigningCertificateV2({"certs": [identifier]})],
            },
        ]
    )
    signature = unit.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
    sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
    signer = {
        "version": "v1",
        "sid": cms.IssuerAndSerialNumber(
            {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        ),
        "digest_algorithm": sha256,
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": signature,
    }
    data = {
        "version": "v3",
        "digest_algorithms": [sha256],
        "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info.dump())},
        "certificates": [certificate],
        "signer_infos": [signer],
    }
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)}).dump())


def crl(at: datetime | None = None, revoked: tuple[bytes, ...] = ()) -> bytes:
    """Return the CA's CRL (DER) of `at` or BEGUN, good for a week."""
    key, ca = authority()
    moment = at or BEGUN
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(moment)
        .next_update(moment + timedelta(days=7))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(next(_serials)), critical=False)
    )
    for certificate in revoked:
        serial = x509.load_der_x509_certificate(certificate).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def ocsp(certificate: bytes, at: datetime | None = None) -> bytes:
    """Return the CA's own OCSP response (DER) that says a certificate is good, of `at` or BEGUN, good for a week."""
    key, ca = authority()
    moment = at or BEGUN
    builder = ocsp_builders.OCSPResponseBuilder().add_response(
        cert=x509.load_der_x509_certificate(certificate),
        issuer=ca,
        algorithm=hashes.SHA1(),  # noqa: S303 - the identifier that every OCSP client understands
        cert_status=ocsp_builders.OCSPCertStatus.GOOD,
        this_update=moment,
        next_update=moment + timedelta(days=7),
        revocation_time=None,
        revocation_reason=None,
    )
    answer = builder.responder_id(ocsp_builders.OCSPResponderEncoding.HASH, ca).sign(key, hashes.SHA256())
    return answer.public_bytes(Encoding.DER)


def evidence(certificates: tuple[bytes, ...], at: datetime | None = None) -> Evidence:
    """Return the CA's certificate, its CRL, and an OCSP response for each certificate that it issued."""
    ca = authority()[1].public_bytes(Encoding.DER)
    ended = dict.fromkeys(certificate for certificate in certificates if certificate != ca)
    return Evidence((ca,), (crl(at),), tuple(ocsp(certificate, at) for certificate in ended))


def raise_to(
    form: SignatureFormat,
    signed: Signed,
    level: Level,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    at: datetime | None = None,
    unit: TimeStampUnit | None = None,
) -> bytes:
    """Give a format what it asks for until a level is reached; return the addition then."""
    for _ in range(MAX_STEPS):
        need = form.next_need(signed, level, digest)
        if need is None:
            return signed.addition
        if isinstance(need, TimeStampNeeded):
            assert len(need.imprint) == digest.size
            addition = form.add_time_stamp(signed, need, token(need.imprint, digest, at, unit))
        else:
            addition = form.add_evidence(signed, need, evidence(need.certificates, at))
        signed = Signed(signed.document, addition)
    raise AssertionError(f"the format still asks after {MAX_STEPS} answers")


def openssl_ts_verify(folder: Path, stamp: bytes, imprint: bytes) -> str:
    """Ask openssl about a token over an imprint; return "" where it verifies, else what it complained of."""
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    (folder / "token.tst").write_bytes(stamp)
    command = ["openssl", "ts", "-verify", "-digest", imprint.hex(), "-token_in"]
    command += ["-in", str(folder / "token.tst"), "-CAfile", str(folder / "ca.pem")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr or done.stdout or "failed"


def imprint(data: bytes, digest: DigestAlgorithm = DigestAlgorithm.SHA256) -> bytes:
    """Hash as a messageImprint does."""
    running = hashes.Hash(HASHES[digest])
    running.update(data)
    return running.finalize()
