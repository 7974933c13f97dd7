from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import events
from services.kernel.errors import (
    AlgorithmMismatch,
    AlgorithmUnknown,
    DigestLength,
    DomainError,
    FieldInvalid,
    error_class,
    error_codes,
)
from services.kernel.values import (
    Digest,
    DigestAlgorithm,
    KeyAlgorithm,
    SignatureScheme,
    SigningAlgorithm,
    default_scheme,
    new_id,
)


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@given(value=st.binary(max_size=80))
def test_a_digest_has_the_length_of_its_algorithm_or_does_not_exist(
    algorithm: DigestAlgorithm, value: bytes
) -> None:
    if len(value) == algorithm.size:
        assert Digest(algorithm, value).value == value
    else:
        with pytest.raises(DigestLength, match=f"must be {algorithm.size} bytes, got {len(value)}"):
            Digest(algorithm, value)


@pytest.mark.parametrize("kind", [DigestAlgorithm, KeyAlgorithm, SignatureScheme])
def test_labels_are_read_back_and_others_refused(
    kind: type[DigestAlgorithm | KeyAlgorithm | SignatureScheme],
) -> None:
    for member in kind:
        assert kind.parse(member.label) is member
    for wrong in ("", "SHA-1", "md5", "rsa", "x" * 1000):
        with pytest.raises(AlgorithmUnknown) as caught:
            kind.parse(wrong)
        assert len(caught.value.message) < 300


@pytest.mark.parametrize("key", KeyAlgorithm)
def test_a_scheme_fits_keys_of_its_family_only(key: KeyAlgorithm) -> None:
    SigningAlgorithm(default_scheme(key), DigestAlgorithm.SHA256).require_fit(key)
    for scheme in SignatureScheme:
        if scheme.family != key.family:
            with pytest.raises(AlgorithmMismatch):
                SigningAlgorithm(scheme, DigestAlgorithm.SHA256).require_fit(key)


def test_identifiers_are_distinct_and_made_for_urls_and_subjects() -> None:
    made = {new_id("op") for _ in range(1000)}
    assert len(made) == 1000
    for identifier in made:
        assert identifier.startswith("op_")
        assert len(identifier) == 29
        events.result_subject("cl_1", identifier)


def test_identifiers_sort_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1_000_000_000, 2_000_000_000, 1_790_000_000_000_000_000])
    monkeypatch.setattr("services.kernel.values.time.time_ns", lambda: next(moments))
    made = [new_id("op") for _ in range(3)]
    assert made == sorted(made)


@pytest.mark.parametrize("part", ["", "a.b", "*", ">", "a b", "a\r\nPUB x 0", "é", "a" * 65])
def test_a_subject_takes_no_part_that_could_change_it(part: str) -> None:
    builders: list[Callable[[], str]] = [
        lambda: events.event_subject("signature", "completed", part),
        lambda: events.job_subject(part),
        lambda: events.result_subject(part, "op_1"),
        lambda: events.parked_subject("KYSO_JOBS", part),
    ]
    for build in builders:
        with pytest.raises(FieldInvalid):
            build()


def test_the_client_of_a_job_is_read_from_its_subject_only() -> None:
    assert events.client_of_job(events.job_subject("cl_7", "high")) == "cl_7"
    for wrong in ("kyso.job.cl_7", "kyso.event.cl_7.sign.high", "kyso.job.cl_7.verify.high", ""):
        with pytest.raises(FieldInvalid):
            events.client_of_job(wrong)


def test_every_code_belongs_to_one_class() -> None:
    for code, known in error_codes().items():
        assert known.code == code
        assert error_class(code) is known
    with pytest.raises(TypeError, match="is taken"):
        type("Second", (DomainError,), {"code": "NOT_FOUND"})
    assert error_class("NO_SUCH_CODE") is None
