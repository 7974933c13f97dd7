"""Stacked mutants of every document end in a typed report, in time; `make fuzz` does the same by the hour."""

from __future__ import annotations

import os
import random

import pytest

from tests.support import fuzzing, own_documents

ROUNDS = int(os.environ.get("KYSO_FUZZ_ROUNDS", "40"))


@pytest.fixture(scope="module")
def judge() -> fuzzing.Judge:
    """Trust and readers, loaded once."""
    return fuzzing.Judge()


@pytest.fixture(scope="module")
def seeds() -> list[fuzzing.Seed]:
    """Documents to splice from."""
    return fuzzing.own_seeds()


# The library's word on numbers that RFC 5280 forbids: it tells of a later release, and damaged certificates have them.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    "number", range(len(own_documents.variants())), ids=map(str, own_documents.variants())
)
def test_mutants_end_in_typed_reports(number: int, judge: fuzzing.Judge, seeds: list[fuzzing.Seed]) -> None:
    chance = random.Random(number)  # noqa: S311 - no secret; the same mutants again
    for _ in range(ROUNDS):
        mutant = fuzzing.stacked([seeds[number]], chance)
        failure = judge.failure(mutant, chance)
        assert failure is None, failure.what
    for _ in range(ROUNDS // 10):
        failure = judge.evidence_failure(seeds[number], chance)
        assert failure is None, failure.what
