"""Signatures that a time-stamp proves to be made when their certificate could not make any: failed, not undecided."""

from __future__ import annotations

import base64
import json
from datetime import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.verifier.domain import Code, Indication, SignatureReport, SubIndication, Verdict
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import TestSigner, authority
from tests.support.time_world import START, brief_signer, days, issue, unit

CONTENT = "Nghị quyết số 57".encode()
ROOT = authority()[1].public_bytes(Encoding.DER)


def url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def container(over: bytes, at: datetime) -> dict[str, object]:
    """A tstContainer with one token."""
    token = stamping.token(stamping.imprint(over), DigestAlgorithm.SHA256, at, unit())
    return {"tstTokens": [{"val": base64.b64encode(token).decode()}]}


def sign(who: TestSigner, *, content_stamp: datetime | None = None, stamp: datetime | None = None) -> bytes:
    """A JAdES signature; with a time-stamp that it signs, and with one over it, of these times."""
    payload = url(CONTENT)
    header: dict[str, object] = {
        "alg": "RS256",
        "iat": int(START.timestamp()),
        "x5t#S256": url(stamping.imprint(who.chain[0])),
        "x5c": [base64.b64encode(one).decode() for one in who.chain],
    }
    if content_stamp is not None:
        header |= {"adoTst": container(payload.encode(), content_stamp), "crit": ["adoTst"]}
    protected = url(json.dumps(header).encode())
    value = url(who.sign(stamping.imprint(f"{protected}.{payload}".encode())))
    made: dict[str, object] = {"payload": payload, "protected": protected, "signature": value}
    if stamp is not None:
        element = {"sigTst": container(value.encode(), stamp)}
        made["header"] = {"etsiU": [url(json.dumps(element).encode())]}
    return json.dumps(made).encode()


def verify(data: bytes, at: datetime, *lists: bytes) -> tuple[Verdict, SignatureReport]:
    """The verdict and the report on the signature as of `at`."""
    trust = TrustMaterial((ROOT,), (), lists or (stamping.crl(at),))
    report = VerificationService((JadesFormat(),), trust).verify(SubmittedDocument(data), at)
    (signature,) = report.signatures
    return report.verdict, signature


def test_a_signature_over_a_time_stamp_from_after_the_end_is_expired() -> None:
    verdict, report = verify(sign(brief_signer(), content_stamp=days(3)), days(10))
    assert (report.indication, report.sub_indication) == (Indication.TOTAL_FAILED, SubIndication.EXPIRED)
    assert verdict is Verdict.INVALID
    assert Code.TS_OK in {notice.code for notice in report.notices}
    # Within its validity it may have been made in time; and without any time-stamp nobody knows.
    for data in (sign(brief_signer(), content_stamp=days(1)), sign(brief_signer())):
        verdict, report = verify(data, days(10))
        assert (verdict, report.sub_indication) == (
            Verdict.INDETERMINATE,
            SubIndication.OUT_OF_BOUNDS_NO_POE,
        )


@pytest.mark.parametrize(
    ("stamped", "expected"),
    [
        (1.5, SubIndication.REVOKED),
        (0.5, SubIndication.REVOKED_NO_POE),
        # The clocks of the CA and the authority may differ.
        (1.0, SubIndication.REVOKED_NO_POE),
        (None, SubIndication.REVOKED_NO_POE),
    ],
)
def test_a_signature_over_a_time_stamp_from_after_the_revocation_is_revoked(
    stamped: float | None, expected: SubIndication
) -> None:
    data = sign(brief_signer(), content_stamp=None if stamped is None else days(stamped))
    _, report = verify(data, days(1.8), stamping.crl(days(1), revoked=(brief_signer().chain[0],)))
    assert report.status.revoked_at == days(1)
    assert report.sub_indication is expected
    failed = expected is SubIndication.REVOKED
    assert report.indication is (Indication.TOTAL_FAILED if failed else Indication.INDETERMINATE)


def test_a_signature_that_is_proved_older_than_its_certificate_is_not_yet_valid() -> None:
    key = rsa.generate_private_key(65537, 2048)
    early = TestSigner(key, (issue("Người ký sớm", key.public_key(), since=days(5), until=days(9)), ROOT))
    _, report = verify(sign(early, stamp=START), days(1))
    assert (report.indication, report.sub_indication) == (
        Indication.TOTAL_FAILED,
        SubIndication.NOT_YET_VALID,
    )
    _, report = verify(sign(early), days(1))
    assert (report.indication, report.sub_indication) == (
        Indication.INDETERMINATE,
        SubIndication.OUT_OF_BOUNDS_NO_POE,
    )
