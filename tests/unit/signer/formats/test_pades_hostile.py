"""Mutated PDF files end in a typed error or a signature, at whatever step they are met."""

from __future__ import annotations

import random
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from services.kernel.errors import DomainError, Kind
from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import Document, Evidence, EvidenceNeeded, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from tests.support import pdfs
from tests.support.document_signers import signer
from tests.support.pades_verdicts import sign_at

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 40
TOKENS = (b"null", b"<<>>", b"[]", b"(x)", b"0", b"-1", b"99999999999", b"/X", b"1 0 R", b"<", b">", b"true")
_TOKEN = re.compile(rb"\b\d+ 0 R\b|/[A-Za-z]+|\[[^\]<]{0,40}\]|\b\d{1,6}\b")


@cache
def seeds() -> tuple[bytes, ...]:
    streamed = pdfs.assemble_with_streams(pdfs.page_objects(), frozenset({1, 2, 3}))
    locked = pdfs.form_pdf(b"/FT /Sig /T (Leader) /Lock <</Action /All>>")
    return (
        sign_at(Level.B_LTA, pdfs.one_page_pdf()),
        sign_at(Level.B_LTA, streamed),
        sign_at(Level.B_T, locked, field_name="Leader", certification=2),
    )


def mutated(random_: random.Random) -> bytes:
    data = bytearray(random_.choice(seeds()))
    for _ in range(random_.randint(1, 3)):
        if random_.random() < 0.6:
            chosen = random_.choice(list(_TOKEN.finditer(bytes(data))))
            token = random_.choice(TOKENS)[: len(chosen[0])].ljust(len(chosen[0]))
            data[chosen.start() : chosen.end()] = token
        else:
            data[random_.randrange(len(data))] = random_.randrange(256)
    return bytes(data)


def steps(data: bytes) -> list[Callable[[], object]]:
    form, level = PadesBaseline(), Level.B_LTA
    evidence = Evidence((b"certificate",), (b"crl",), (b"ocsp",))
    return [
        lambda: form.prepare(Document.of(data), signer().parameters(level=level)),
        lambda: form.next_need(Signed(Document.of(data)), level, DigestAlgorithm.SHA256),
        lambda: form.add_evidence(Signed(Document.of(data)), EvidenceNeeded(()), evidence),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_mutated_file_is_signed_or_refused_by_name(seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311 - the same mutations every time
    ends = {"done": 0, "refused": 0}
    for _ in range(ROUNDS):
        for step in steps(mutated(random_)):
            try:
                step()
            except DomainError as error:
                ends["refused"] += 1
                # Hostile bytes are the caller's fault, never an inner failure of ours.
                if error.kind not in {Kind.UNPROCESSABLE, Kind.INVALID}:
                    raise
            else:
                ends["done"] += 1
    assert min(ends.values()) > 0
