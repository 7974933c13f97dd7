"""Every JSON signature that the signer makes comes back passed and clean, for as long as its time-stamps prove."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto import jwk
from jwcrypto import jws as jwcrypto_jws

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SigningAlgorithm
from services.signer.formats.parameters import Level
from services.verifier.config import LimitSettings
from services.verifier.domain import Code, Coverage, Indication, SubIndication
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.workers.pool import WorkerPool
from tests.support import stamping
from tests.support.document_signers import authority, signer
from tests.support.own_jades import (
    CONTENT,
    FITTING,
    LEVELS,
    NAME,
    PACKAGINGS,
    UNDERSTOOD,
    add,
    codes,
    make,
    outcome,
    sign,
    url,
    verify,
)
from tests.support.time_world import START, brief_signer, days, unit

# --- what the signer makes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("packaging", PACKAGINGS)
@pytest.mark.parametrize(("key", "algorithm"), FITTING, ids=lambda value: value.label)
def test_every_key_and_algorithm_passes_here_and_elsewhere(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, packaging: str
) -> None:
    made = sign(packaging, signer(key), algorithm=algorithm)
    token = jwcrypto_jws.JWS(header_registry=UNDERSTOOD)
    token.deserialize(made.decode())
    token.verify(jwk.JWK.from_pyca(signer(key).key.public_key()))
    report = verify(made, packaging)
    assert report.clean, report.signatures[0].detail
    assert report.signatures[0].coverage.coverage is Coverage.WHOLE
    assert report.signatures[0].signing_time.claimed == START


@pytest.mark.parametrize("serialization", ["FLATTENED", "GENERAL"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_every_level_passes_and_is_named(packaging: str, level: Level, serialization: str) -> None:
    report = verify(make(packaging, level, serialization), packaging)
    assert outcome(report) is None, report.signatures[0].detail
    assert report.clean
    assert report.signatures[0].format == f"JAdES-{level.value.replace('_', '-')}"
    assert (Code.TS_OK in codes(report)) == (level is not Level.B_B)
    assert Code.TS_NOT_CHECKED not in codes(report)


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_second_signature_leaves_both_clean(packaging: str) -> None:
    first = sign(packaging, json_serialization="GENERAL")
    both = add(first, packaging)
    report = verify(both, packaging)
    assert [one.indication for one in report.signatures] == [Indication.TOTAL_PASSED] * 2
    assert report.clean


async def test_a_confined_worker_judges_them_too() -> None:
    """Nothing that reading them needs is loaded from a file only then: a worker reaches none."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), (stamping.crl(START),))
    async with WorkerPool.open(LimitSettings(workers=1)) as pool:
        for level in LEVELS:
            document = SubmittedDocument(make("DETACHED", level), CONTENT, {NAME: CONTENT})
            report = await pool.judge(document, trust, START, integrity_only=False)
            assert report["clean"], report["signatures"]


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_an_expired_signer_passes_with_time_stamp_and_status_of_then(packaging: str, level: Level) -> None:
    report = verify(make(packaging, level), packaging, days(10))
    if level is Level.B_LT:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_EXPIRED_LATER in codes(report)
    else:
        # The list of today need not remember a certificate that has expired.
        assert outcome(report) is SubIndication.OUT_OF_BOUNDS_NO_POE


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_later_revocation_does_not_reach_what_was_stamped(packaging: str, level: Level) -> None:
    revoked = stamping.crl(days(1), revoked=(brief_signer().chain[0],))
    report = verify(make(packaging, level), packaging, days(1.5), revoked)
    if level is Level.B_B:
        assert outcome(report) is SubIndication.REVOKED_NO_POE
    else:
        assert outcome(report) is None, report.signatures[0].detail
        assert Code.CERT_REVOKED_LATER in codes(report)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_an_earlier_revocation_reaches_every_level(packaging: str, level: Level) -> None:
    revoked = stamping.crl(START - timedelta(hours=1), revoked=(brief_signer().chain[0],))
    assert outcome(verify(make(packaging, level), packaging, START, revoked)) is SubIndication.REVOKED_NO_POE


def container(imprint: bytes, at: datetime, stamping_unit: stamping.TimeStampUnit) -> dict[str, Any]:
    """A tstContainer with a token over these octets."""
    token = stamping.token(stamping.imprint(imprint), DigestAlgorithm.SHA256, at, stamping_unit)
    return {"tstTokens": [{"val": base64.b64encode(token).decode()}]}


def with_element(data: bytes, name: str, value: Any) -> bytes:
    """One more element of etsiU, in base64url."""
    file = json.loads(data)
    file.setdefault("header", {}).setdefault("etsiU", []).append(url(json.dumps({name: value}).encode()))
    return json.dumps(file).encode()


def archived(data: bytes, packaging: str, at: datetime, stamping_unit: stamping.TimeStampUnit) -> bytes:
    """Raised to B-LTA: an arcTst over everything (TS 119 182-1 5.3.6.3)."""
    file = json.loads(data)
    # Not encoded, the content itself is stamped; encoded, its text.
    content = CONTENT if packaging == "DETACHED" else file["payload"].encode()
    signed = ".".join((file["protected"], file["signature"], "".join(file["header"]["etsiU"])))
    return with_element(data, "arcTst", container(content + b"." + signed.encode(), at, stamping_unit))


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_an_archive_time_stamp_keeps_what_an_expired_unit_stamped(packaging: str) -> None:
    brief = unit(until=days(3))
    document = make(packaging, Level.B_LT, stamping_unit=brief)
    assert outcome(verify(document, packaging, days(10))) is SubIndication.OUT_OF_BOUNDS_NO_POE
    report = verify(archived(document, packaging, days(1), unit()), packaging, days(10))
    assert outcome(report) is None, [notice.detail for notice in report.signatures[0].notices]
    assert report.clean
    assert report.signatures[0].format == "JAdES-B-LTA"
    assert report.signatures[0].signing_time.best == START


def test_an_archive_time_stamp_over_something_else_keeps_nothing() -> None:
    """The element before it is another now, or is gone, or one more is there: the old proof is none."""
    document = make("ENVELOPING", Level.B_LT, stamping_unit=unit(until=days(3)))
    good = json.loads(archived(document, "ENVELOPING", days(1), unit()))
    elements = good["header"]["etsiU"]
    other = url(json.dumps({"rVals": {"crlVals": []}}).encode())
    for changed in (
        elements[1:],
        [elements[0], other, elements[2]],
        [elements[0], *elements],
        [other, *elements],
    ):
        good["header"]["etsiU"] = changed
        report = verify(json.dumps(good).encode(), "ENVELOPING", days(10))
        assert outcome(report) is SubIndication.OUT_OF_BOUNDS_NO_POE
        assert Code.TS_BAD in codes(report)
    # What comes after it is not covered, and takes nothing from it.
    good["header"]["etsiU"] = [*elements, other]
    assert outcome(verify(json.dumps(good).encode(), "ENVELOPING", days(10))) is None


def test_elements_in_the_clear_serve_too() -> None:
    document = json.loads(make("ENVELOPING", Level.B_LT))
    texts = document["header"]["etsiU"]
    clear = [json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in texts]
    document["header"]["etsiU"] = clear
    report = verify(json.dumps(document).encode(), "ENVELOPING", days(10))
    assert outcome(report) is None
    assert report.signatures[0].format == "JAdES-B-LT"
    # No standard says in which octets such elements are stamped; a mixture is none of the two ways.
    for elements in ([*clear, {"arcTst": container(b"", days(1), unit())}], [texts[0], *clear[1:]]):
        document["header"]["etsiU"] = elements
        assert Code.TS_NOT_CHECKED in codes(verify(json.dumps(document).encode(), "ENVELOPING"))


def test_time_stamps_over_value_and_references() -> None:
    """Annex A.1.5: sigRTst speaks for the signature, rfsTst for the references alone."""
    made = with_element(
        sign(who=brief_signer(), json_serialization="FLATTENED"), "xRefs", [{"digAlg": "S256"}]
    )
    file = json.loads(made)
    (references,) = file["header"]["etsiU"]
    over = f"{file['signature']}.{references}".encode()
    lists = stamping.crl(days(1)), stamping.crl(days(10))
    both = with_element(made, "sigRTst", container(over, START, unit()))
    assert outcome(verify(both, "ENVELOPING", days(10), *lists)) is None
    alone = with_element(made, "rfsTst", container(references.encode(), START, unit()))
    report = verify(alone, "ENVELOPING", days(10), *lists)
    assert outcome(report) is SubIndication.OUT_OF_BOUNDS_NO_POE
    assert Code.TS_OK in codes(report)
    assert report.signatures[0].format == "JAdES-B-B"


def test_a_content_time_stamp_is_judged_and_proves_nothing_of_the_signature() -> None:
    who = brief_signer()
    payload = url(CONTENT)
    for over, expected in ((payload.encode(), Code.TS_OK), (CONTENT, Code.TS_BAD)):
        header = {
            "alg": "RS256",
            "iat": int(START.timestamp()),
            "x5t#S256": url(stamping.imprint(who.chain[0])),
            "x5c": [base64.b64encode(one).decode() for one in who.chain],
            "adoTst": container(over, START, unit()),
            "crit": ["adoTst"],
        }
        protected = url(json.dumps(header).encode())
        value = who.sign(stamping.imprint(f"{protected}.{payload}".encode()))
        data = f"{protected}.{payload}.{url(value)}".encode()
        report = verify(data, "ENVELOPING")
        assert outcome(report) is None
        assert expected in codes(report)
        assert outcome(verify(data, "ENVELOPING", days(10))) is SubIndication.OUT_OF_BOUNDS_NO_POE


def test_validation_data_of_time_stamps_is_found() -> None:
    document = json.loads(make("ENVELOPING", Level.B_LT))
    texts = document["header"]["etsiU"]
    values = json.loads(base64.urlsafe_b64decode(texts[1] + "=="))["rVals"]
    certificate = {"x509Cert": {"val": base64.b64encode(authority()[1].public_bytes(Encoding.DER)).decode()}}
    for name in ("tstVD", "anyValData"):
        document["header"]["etsiU"] = texts[:1]
        changed = with_element(json.dumps(document).encode(), name, {"xVals": [certificate], "rVals": values})
        assert outcome(verify(changed, "ENVELOPING", days(10))) is None
