"""No mutant of a valid document whose protected octets were touched comes out passed and clean, in any format.

What counts as protected, and what is neutral, is the rule of `tests.support.protected_octets`. `KYSO_MUTANTS` says how
many mutants of protected octets there are of each document; `make fuzz` asks for over 20,000 in all. `KYSO_BIT_STEP`
says that one bit of so many of the plain documents is flipped; `make fuzz` flips each.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.verifier.domain import Indication, SignatureKind
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS
from tests.support import mutations, own_documents, protected_octets
from tests.support.own_documents import Variant

NOW = datetime.now(UTC).replace(microsecond=0)
MUTANTS = int(os.environ.get("KYSO_MUTANTS", "20"))
BIT_STEP = int(os.environ.get("KYSO_BIT_STEP", "211"))
PLAIN = [
    Variant("PADES", "ENVELOPED"),
    Variant("CADES", "DETACHED"),
    Variant("CADES", "ENVELOPING"),
    Variant("XADES", "ENVELOPED"),
    Variant("XADES", "DETACHED"),
    Variant("JADES", "ENVELOPING", option=(("json_serialization", "FLATTENED"),)),
]
"""One at B-B of each way to write a signature; containers and mail are one of these in another wrapping."""


@pytest.fixture(scope="module")
def service() -> VerificationService:
    """Judges with trust and status."""
    return VerificationService(FORMATS, own_documents.trust(NOW))


def _passes(service: VerificationService, document: SubmittedDocument) -> bool:
    """A caller would take it for the good document."""
    report = service.verify(document, NOW)
    # A time-stamp file in a container that does not hold proves nothing, and takes nothing from the signatures.
    signatures = [s for s in report.signatures if s.kind is SignatureKind.SIGNATURE]
    passed = [s.indication is Indication.TOTAL_PASSED for s in signatures]
    assert not report.clean or (passed and all(passed)), "clean, and a signature did not pass"
    failed = [s for s in report.signatures if s.indication is Indication.TOTAL_FAILED]
    assert not report.clean or all(s.notices for s in failed), "what failed is not told"
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


# The library's word on numbers that RFC 5280 forbids, which flipped certificates have.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("variant", PLAIN, ids=str)
def test_no_flipped_bit_passes(
    variant: Variant, service: VerificationService, record_property: Callable[[str, object], None]
) -> None:
    document = own_documents.make(variant, NOW)
    original = protected_octets.view(variant, document)
    touched = 0
    for bit in range(0, len(document.data) * 8, BIT_STEP):
        data = bytearray(document.data)
        data[bit // 8] ^= 1 << bit % 8
        made = replace(document, data=bytes(data))
        if protected_octets.view(variant, made) != original:
            touched += 1
            assert not _passes(service, made), f"bit {bit % 8} of octet {bit // 8}"
    assert touched
    record_property("touched", touched)
