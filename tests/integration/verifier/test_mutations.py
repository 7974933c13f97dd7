"""No mutant of a valid document whose protected octets were touched comes out passed and clean, in any format.

What counts as protected, and what is neutral, is the rule of `tests.support.protected_octets`. `KYSO_MUTANTS` says how
many mutants of protected octets there are of each document; `make fuzz` asks for over 20,000 in all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.verifier.domain import Indication
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from services.verifier.worker import FORMATS
from tests.support import mutations, own_documents, protected_octets
from tests.support.own_documents import Variant

NOW = datetime.now(UTC).replace(microsecond=0)
MUTANTS = int(os.environ.get("KYSO_MUTANTS", "20"))


@pytest.fixture(scope="module")
def service() -> VerificationService:
    """Judges with trust and status."""
    return VerificationService(FORMATS, own_documents.trust(NOW))


def _passes(service: VerificationService, document: SubmittedDocument) -> bool:
    """A caller would take it for the good document."""
    report = service.verify(document, NOW)
    passed = [s.indication is Indication.TOTAL_PASSED for s in report.signatures]
    assert not report.clean or all(passed), "clean, and a signature did not pass"
    return report.clean


@pytest.mark.parametrize("variant", own_documents.variants(), ids=str)
def test_no_touched_octet_passes(
    variant: Variant, service: VerificationService, record_property: Callable[[str, object], None]
) -> None:
    document = own_documents.make(variant, NOW)
    assert _passes(service, document)
    original = protected_octets.view(variant, document)
    assert original is not None
    chance = random.Random(str(variant))  # noqa: S311 - no secret; the same mutants again
    touched = neutral = 0
    while touched < MUTANTS:
        made = mutations.mutant(variant, document, chance)
        if (made.data, made.detached) == (document.data, document.detached):
            continue
        view = protected_octets.view(variant, made)
        if view == original and not made.data.startswith(document.data):
            # Judged all the same: it must not raise.
            service.verify(made, NOW)
            neutral += 1
            continue
        touched += 1
        assert not _passes(service, made), f"mutant {touched} after {neutral} neutral ones"
    record_property("neutral", neutral)
