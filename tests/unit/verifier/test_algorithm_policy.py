"""The policy for algorithms as data: what the shipped one says, which files are refused, and how it reaches a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier import algorithm_policy, algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, PolicyFileError, Purpose, Row
from services.verifier.domain import SubIndication
from services.verifier.ports import TrustMaterial
from services.verifier.workers import wire
from services.verifier.x509.anchors import AnchorTerms
from tests.unit.verifier.authority import NOW

SHIPPED = algorithms.default_policy()
EVERY_PURPOSE = list(Purpose)


def day(text: str) -> datetime:
    """Its first moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def digest_allowed(label: str, at: datetime, policy: AlgorithmPolicy = SHIPPED) -> bool:
    """For every purpose alike."""
    answers = {not algorithms.weaknesses(None, "", label, policy, at, purpose) for purpose in EVERY_PURPOSE}
    (answer,) = answers
    return answer


@pytest.mark.parametrize(
    ("label", "before", "end"),
    [
        ("SHA-256", True, None),
        ("SHA-512", True, None),
        ("SHA-512/256", True, None),
        ("SHA3-256", True, None),
        ("SHA-224", True, "2025-04-10"),
        ("SHA3-224", False, None),
        ("SHA-1", False, None),
        ("MD5", False, None),
    ],
)
def test_digests_are_allowed_until_their_end(label: str, before: bool, end: str | None) -> None:
    assert digest_allowed(label, day("2001-01-01")) is before
    if end is not None:
        assert digest_allowed(label, day(end) - timedelta(seconds=1))
        assert not digest_allowed(label, day(end))
    else:
        assert digest_allowed(label, day("2100-01-01")) is before


def key(kind: str, bits: int) -> PublicKeyTypes:
    """A public key of a size."""
    if kind == "RSA":
        return rsa.generate_private_key(65537, bits).public_key()
    if kind == "DSA":
        return dsa.generate_private_key(bits).public_key()
    if kind == "EC":
        return ec.generate_private_key({224: ec.SECP224R1, 256: ec.SECP256R1}[bits]()).public_key()
    return ed25519.Ed25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("kind", "bits", "family", "end"),
    [
        ("RSA", 1024, "RSA", ""),
        ("RSA", 2040, "RSA-PSS", ""),
        ("RSA", 2048, "RSA", "2029-01-01"),
        ("RSA", 2048, "RSA-PSS", "2029-01-01"),
        ("RSA", 3072, "RSA", "2034-01-01"),
        ("RSA", 3072, "RSA-PSS", "never"),
        # Where only the key is looked at, the best that it can do counts.
        ("RSA", 3072, "", "never"),
        ("EC", 224, "ECDSA", ""),
        ("EC", 256, "ECDSA", "never"),
        ("EC", 256, "ECDSA-plain", "never"),
        ("EC", 256, "", "never"),
        # A family that is not the key's.
        ("EC", 256, "RSA", ""),
        ("DSA", 2048, "DSA", ""),
        ("Ed25519", 256, "", ""),
        ("Ed25519", 256, "Ed25519", ""),
    ],
)
def test_keys_are_allowed_by_family_and_size(kind: str, bits: int, family: str, end: str) -> None:
    made = key(kind, bits)

    def allowed(at: datetime) -> bool:
        return not algorithms.weaknesses(made, family, "", SHIPPED, at)

    assert allowed(day("2011-01-01")) is bool(end)
    if end not in ("", "never"):
        assert allowed(day(end) - timedelta(seconds=1))
        assert not allowed(day(end))
    assert allowed(day("2100-01-01")) is (end == "never")


def test_a_row_may_be_for_some_purposes_only() -> None:
    rows = (Row(frozenset({"SHA-256"}), NOW, purposes=frozenset({Purpose.CERTIFICATE})),)
    policy = AlgorithmPolicy("test", rows, ())
    before = NOW - timedelta(seconds=1)
    assert not algorithms.weaknesses(None, "", "SHA-256", policy, before, Purpose.CERTIFICATE)
    assert algorithms.weaknesses(None, "", "SHA-256", policy, before, Purpose.SIGNATURE)
    wider = policy.with_digest("SHA-256", NOW, {Purpose.SIGNATURE})
    assert not algorithms.weaknesses(None, "", "SHA-256", wider, before, Purpose.SIGNATURE)
    assert algorithms.weaknesses(None, "", "SHA-256", wider, NOW, Purpose.SIGNATURE)
    assert algorithms.weaknesses(None, "", "SHA-256", wider, before, Purpose.TIME_STAMP)


def test_what_was_made_after_the_end_is_told_apart_from_what_lacks_a_proof() -> None:
    ended = AlgorithmPolicy("test", (Row(frozenset({"SHA-256"}), NOW),), ())
    (fault,) = algorithms.faults(None, "", "SHA-256", ended, Purpose.SIGNATURE, NOW)
    no_poe, late = SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, SubIndication.CRYPTO_CONSTRAINTS_FAILURE
    assert algorithms.verdict_on([fault], None) is no_poe
    assert algorithms.verdict_on([fault], NOW - timedelta(seconds=1)) is no_poe
    assert algorithms.verdict_on([fault], NOW) is late
    # Of an algorithm that never was allowed no end is known.
    (never,) = algorithms.faults(None, "", "MD5", ended, Purpose.SIGNATURE, NOW)
    assert algorithms.verdict_on([never], NOW) is no_poe


HEAD = 'name = "test"\nissued = 2026-11-22\n'
DIGEST = '[[digest]]\nnames = ["SHA-256"]\nsource = "x"\n'
SIGNATURE = '[[signature]]\nschemes = ["RSA"]\nbits = 2048\nsource = "x"\n'


def written(folder: Path, text: str | bytes) -> Path:
    """A policy file."""
    path = folder / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    until = 'until = 2020-02-01T00:00:00+07:00\npurposes = ["certificate"]\n'
    policy = algorithms.read_policy(written(tmp_path, HEAD + DIGEST + until + SIGNATURE))
    assert policy.digest_end("SHA-256", Purpose.CERTIFICATE) == datetime(2020, 1, 31, 17, tzinfo=UTC)
    assert policy.digest_end("SHA-256", Purpose.SIGNATURE) is None
    assert policy.digests[0].source == "x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "name is missing"),
        ('name = "x"\n' + DIGEST + SIGNATURE, "issued is missing"),
        (HEAD + DIGEST, "needs a digest and a signature"),
        (HEAD + SIGNATURE, "needs a digest and a signature"),
        (HEAD + "further = 1\n" + DIGEST + SIGNATURE, "further is not known"),
        (HEAD + DIGEST + "bits = 7\n" + SIGNATURE, "digest 1: bits is not known"),
        (HEAD + DIGEST + "end = 1\n" + SIGNATURE, "digest 1: end is not known"),
        (HEAD + DIGEST.replace("SHA-256", "SHA-265") + SIGNATURE, "digest 1: SHA-265 is no name known"),
        (HEAD + DIGEST.replace('["SHA-256"]', "[]") + SIGNATURE, "digest 1: names is a list"),
        (HEAD + DIGEST.replace('["SHA-256"]', "7") + SIGNATURE, "digest 1: names is a list"),
        (HEAD + DIGEST.replace('"x"', '""') + SIGNATURE, "digest 1: source is missing"),
        (HEAD + DIGEST + 'until = "2029"\n' + SIGNATURE, "digest 1: until is a day"),
        (HEAD + DIGEST + "until = 2029-01-01T00:00:00\n" + SIGNATURE, "digest 1: until is a day"),
        (HEAD + DIGEST + 'purposes = ["tls"]\n' + SIGNATURE, "digest 1: purposes are of"),
        (HEAD + DIGEST + SIGNATURE.replace("2048", "0"), "signature 1: bits is the smallest"),
        (HEAD + DIGEST + SIGNATURE.replace("2048", "true"), "signature 1: bits is the smallest"),
        (HEAD + DIGEST + SIGNATURE.replace('"RSA"', '"rsa"'), "signature 1: rsa is no scheme known"),
        (HEAD + "digest = 7\n" + SIGNATURE, "digest is a list of tables"),
        (HEAD + "[[digest", "no TOML"),
        (b"\xff", "no TOML"),
        (b"#" * (algorithm_policy.MAX_FILE_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_row(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    with pytest.raises(PolicyFileError, match=r"policy\.toml.*" + reason):
        algorithms.read_policy(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="No such file"):
        algorithms.read_policy(tmp_path / "policy.toml")


def test_a_worker_gets_the_policy_and_the_terms_as_they_are() -> None:
    terms = (
        AnchorTerms("aa" * 32, "foreign", NOW, None, frozenset({Purpose.SIGNATURE})),
        AnchorTerms("bb" * 32),
    )
    policy = SHIPPED.with_digest("SHA-1", NOW, {Purpose.TIME_STAMP})
    material = TrustMaterial((b"a",), (b"b",), (b"c",), ocsps=(b"d",), terms=terms, algorithms=policy)
    assert wire.read_trust(wire.trust(material)[wire.HEADER.size :]) == material


def test_the_settings_cutoff_is_the_end_of_sha1_for_documents_and_their_time_stamps() -> None:
    policy = TrustMaterial(sha1_cutoff=NOW).rules().algorithms
    ends = {purpose: policy.digest_end("SHA-1", purpose) for purpose in EVERY_PURPOSE}
    assert ends == {Purpose.SIGNATURE: NOW, Purpose.TIME_STAMP: NOW, Purpose.CERTIFICATE: None}
    assert TrustMaterial().rules().algorithms is SHIPPED
