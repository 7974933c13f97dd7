"""Signatures over very many things: as many as a container may hold are looked at, and the work stays in proportion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.verifier.domain import Code, DocumentReport, SubIndication, Verdict
from services.verifier.formats import xml_references
from services.verifier.formats.xml_references import MAX_REFERENCES
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, EXCLUSIVELY, Target, signature

SECONDS = 30
"""Of this process, for what takes two or three where nobody else computes."""


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With an RSA signer."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def verify(hierarchy: Hierarchy, data: str) -> DocumentReport:
    """With trust, within the time."""
    service = VerificationService((XmlFormat(),), hierarchy.trust())
    start = time.process_time()
    report = service.verify(SubmittedDocument(data.encode()), NOW)
    assert time.process_time() - start < SECONDS
    return report


def held(number: int) -> str:
    return f'<ds:Object xmlns:ds="{DS}" Id="o{number}">tep {number}</ds:Object>'


def of_objects(hierarchy: Hierarchy, count: int) -> str:
    """An enveloping signature over so many Objects."""
    targets = [Target(f"#o{n}", held(n).encode()) for n in range(count)]
    inside = "".join(held(n).replace(f' xmlns:ds="{DS}"', "") for n in range(count))
    return signature(hierarchy.signer, *targets, inside=inside)


def test_as_many_references_as_are_allowed_hold_and_each_is_looked_at(hierarchy: Hierarchy) -> None:
    whole = of_objects(hierarchy, MAX_REFERENCES)
    report = verify(hierarchy, whole)
    assert (report.verdict, report.clean) == (Verdict.VALID, True), report.signatures[0].detail
    last = f">tep {MAX_REFERENCES - 1}<"
    assert last in whole
    changed = verify(hierarchy, whole.replace(last, ">tep khac<"))
    assert changed.signatures[0].sub_indication is SubIndication.HASH_FAILURE
    added = verify(hierarchy, whole.replace("</ds:Signature>", "<ds:Object>them</ds:Object></ds:Signature>"))
    assert not added.clean
    assert Code.PARTLY_SIGNED in {notice.code for notice in added.signatures[0].notices}


def test_more_are_a_limit_that_says_nothing_of_the_document(hierarchy: Hierarchy) -> None:
    report = verify(hierarchy, of_objects(hierarchy, MAX_REFERENCES + 1))
    assert (report.verdict, report.clean) == (Verdict.INDETERMINATE, False)
    assert report.notices[0].code is Code.LIMIT_REACHED


def _unlike(hierarchy: Hierarchy) -> str:
    """Each reference is to an element with very many rivals of its name beside it."""
    targets = [Target(f"#b{n}", b"") for n in range(MAX_REFERENCES)]
    named = "".join(f'<b Id="b{n}"></b>' for n in range(MAX_REFERENCES))
    return f"<r>{named}{'<c><b>x</b></c>' * 100_000}{signature(hierarchy.signer, *targets)}</r>"


def _spread(hierarchy: Hierarchy) -> str:
    """Very many elements with attributes, in each of which something is signed, by signatures of whom each signs little."""
    named = "".join(f'<a x="1"><b Id="b{n}"></b></a>' for n in range(60_000))
    signatures = "".join(
        signature(hierarchy.signer, *(Target(f"#b{n}", b"") for n in range(start, start + 600)))
        for start in range(0, 60_000, 600)
    )
    return f"<r>{named}{signatures}</r>"


def _manifests(hierarchy: Hierarchy) -> str:
    """Every reference is to the same Manifest, and that one's to the same element."""
    one = Target("#o", held(0).encode().replace(b"o0", b"o")).text()
    manifest = f'<ds:Manifest xmlns:ds="{DS}" Id="m">{one * 1000}</ds:Manifest>'
    target = Target("#m", manifest.encode(), EXCLUSIVELY, f"{DS}Manifest")
    inside = manifest.replace(f' xmlns:ds="{DS}"', "")
    inside = f'<ds:Object>{inside}</ds:Object><ds:Object Id="o">tep 0</ds:Object>'
    return signature(hierarchy.signer, *[target] * 1000, inside=inside)


@pytest.mark.parametrize("made", [_unlike, _spread, _manifests])
def test_hostile_references_cost_no_more_than_they_are_long(
    hierarchy: Hierarchy, made: Callable[[Hierarchy], str]
) -> None:
    assert not verify(hierarchy, made(hierarchy)).clean


def test_a_reference_and_its_transforms_count_for_themselves(
    hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what they are over is next to nothing."""
    monkeypatch.setattr(xml_references, "MAX_HASHED", 100_000)
    assert verify(hierarchy, of_objects(hierarchy, 5)).clean
    assert verify(hierarchy, of_objects(hierarchy, 20)).notices[0].code is Code.LIMIT_REACHED
