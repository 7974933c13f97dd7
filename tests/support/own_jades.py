"""JSON signatures that the signer makes, at a time of the test's own, and what the verifier says of them then."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto.common import JWSEHeaderParameter

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SigningAlgorithm
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.jades import Jades
from services.signer.formats.parameters import Level
from services.verifier.domain import Code, DocumentReport, Indication, SubIndication
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import ALGORITHMS, TestSigner, authority, signer
from tests.support.time_world import START, brief_signer, unit

CONTENT = '{"hồ sơ":"000.00.12.H26-261122-0001"}'.encode()
NAME = "hồ sơ số 1.json"
PACKAGINGS = ("ENVELOPING", "DETACHED")
LEVELS = (Level.B_B, Level.B_T, Level.B_LT)
UNDERSTOOD = {name: JWSEHeaderParameter(name, True, True, None) for name in ("sigD", "x5t#o")}
CURVE_DIGESTS = {
    KeyAlgorithm.ECDSA_P256: DigestAlgorithm.SHA256,
    KeyAlgorithm.ECDSA_P384: DigestAlgorithm.SHA384,
}
FITTING = [(key, one) for key, one in ALGORITHMS if CURVE_DIGESTS.get(key, one.digest) is one.digest]

SECOND = KeyAlgorithm.ECDSA_P256, next(one for key, one in FITTING if key is KeyAlgorithm.ECDSA_P256)
"""Key and algorithm of another signer."""


def sign(
    packaging: str = "ENVELOPING",
    who: TestSigner | None = None,
    *,
    algorithm: SigningAlgorithm | None = None,
    existing: bytes = b"",
    **options: Any,
) -> bytes:
    """Sign the content at START; `existing` is a file of signatures to add to."""
    who = who or signer()
    parameters = who.parameters(form="JADES", packaging=packaging, **options)
    parameters = replace(parameters, signing_time=START, algorithm=algorithm or parameters.algorithm)
    document = replace(Document.of(CONTENT), name=NAME)
    if existing:
        sent = replace(Document.of(existing), role=Role.SIGNATURE)
        document = replace(sent, others=(document,))
    prepared = Jades().prepare(document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    return Jades().complete(document, parameters, prepared.state, value)


def add(existing: bytes, packaging: str) -> bytes:
    """One more signature, by another."""
    key, algorithm = SECOND
    return sign(packaging, signer(key), existing=existing, algorithm=algorithm, json_serialization="GENERAL")


def make(
    packaging: str,
    level: Level,
    serialization: str = "FLATTENED",
    stamping_unit: stamping.TimeStampUnit | None = None,
) -> bytes:
    """Sign by the brief signer at START and raise to a level."""
    made = sign(packaging, brief_signer(), level=level, json_serialization=serialization)
    sent = Signed(replace(Document.of(CONTENT), name=NAME), made)
    return stamping.raise_to(Jades(), sent, level, at=START, unit=stamping_unit or unit())


def verify(data: bytes, packaging: str, at: datetime = START, *crls: bytes) -> DocumentReport:
    """Report as of `at`, by these CRLs; without any by a fresh one that names nobody."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), crls or (stamping.crl(at),))
    beside = packaging == "DETACHED"
    document = SubmittedDocument(data, CONTENT if beside else None, {NAME: CONTENT} if beside else {})
    return VerificationService((JadesFormat(),), trust).verify(document, at)


def outcome(report: DocumentReport) -> SubIndication | None:
    """Sub-indication of the one signature; None where it passed."""
    (found,) = report.signatures
    assert (found.sub_indication is None) == (found.indication is Indication.TOTAL_PASSED)
    return found.sub_indication


def codes(report: DocumentReport) -> set[Code]:
    return {notice.code for notice in report.signatures[0].notices}


def url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
