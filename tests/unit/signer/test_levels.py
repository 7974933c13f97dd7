"""Raising a document to its level: what is asked for is had and put in; what cannot be had is an error or is stated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import pytest

from services.kernel.errors import EvidenceUnavailable, Internal, LevelNotReached
from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import Evidence, EvidenceNeeded, Need, TimeStampNeeded
from services.signer.formats.parameters import Level
from services.signer.ports import DocumentSession
from services.signer.service.kept import Kept, pack_reached, unpack_reached
from services.signer.service.levels import MAX_SECONDS, LevelRaising, LevelWanted, Reached
from tests.unit.signer.memory import Outside, levels_counter

IMPRINT = hashlib.sha256(b"signature value").digest()
STAMP = TimeStampNeeded(IMPRINT, b"state")
VALUES = EvidenceNeeded((b"leaf", b"unit"))
EVIDENCE = Evidence((b"issuer",), (b"crl",))


class Script:
    """A session whose format needs these things, each for a level."""

    def __init__(self, needs: Sequence[tuple[Level, Need]]) -> None:
        self.needs = list(needs)
        self.added: list[object] = []

    async def next_need(self, level: Level, digest: DigestAlgorithm) -> Need | None:
        assert digest is DigestAlgorithm.SHA256
        return next((need for at, need in self.needs if level.includes(at)), None)

    async def add_time_stamp(self, need: TimeStampNeeded, token: bytes) -> None:
        self._added(need, token)

    async def add_evidence(self, need: EvidenceNeeded, evidence: Evidence) -> None:
        self._added(need, evidence)

    def _added(self, need: Need, what: object) -> None:
        assert self.needs[0][1] is need
        self.needs.pop(0)
        self.added.append(what)


LTA: list[tuple[Level, Need]] = [(Level.B_T, STAMP), (Level.B_LT, VALUES), (Level.B_LTA, STAMP)]


def wanted(level: Level, *, may_be_lower: bool = False, authority: str = "") -> LevelWanted:
    return LevelWanted(level, DigestAlgorithm.SHA256, may_be_lower, authority)


async def raise_to(script: Script, outside: Outside, what: LevelWanted) -> Reached:
    raising = LevelRaising(outside, outside, levels_counter())
    return await raising.raise_to(cast("DocumentSession", script), what)


async def test_everything_that_the_level_needs_is_put_in_in_order() -> None:
    script, outside = Script(LTA), Outside([b"first", b"second"], [EVIDENCE])
    assert await raise_to(script, outside, wanted(Level.B_LTA, authority="ca")) == Reached(Level.B_LTA)
    assert script.added == [b"first", EVIDENCE, b"second"]
    assert outside.asked == ["stamp ca SHA256", "collect 2", "stamp ca SHA256"]


async def test_nothing_is_asked_for_at_the_lowest_level() -> None:
    script, outside = Script(LTA), Outside()
    assert await raise_to(script, outside, wanted(Level.B_B)) == Reached(Level.B_B)
    assert (script.added, outside.asked) == ([], [])


@pytest.mark.parametrize(
    ("outside", "reached", "code"),
    [
        (Outside(), "B-B", "TIME_STAMP_UNAVAILABLE"),
        (Outside([b"token"]), "B-T", "EVIDENCE_UNAVAILABLE"),
        (Outside([b"token"], [EVIDENCE]), "B-LT", "TIME_STAMP_UNAVAILABLE"),
    ],
)
async def test_a_level_that_is_not_reached_is_an_error_or_stated(
    outside: Outside, reached: str, code: str
) -> None:
    tokens, evidence = list(outside.tokens), list(outside.evidence)
    with pytest.raises(LevelNotReached) as caught:
        await raise_to(Script(LTA), outside, wanted(Level.B_LTA))
    assert (caught.value.data["reached"], caught.value.data["reason"]) == (reached, code)
    lower = await raise_to(Script(LTA), Outside(tokens, evidence), wanted(Level.B_LTA, may_be_lower=True))
    assert lower.level is Level(reached)
    assert lower.missed is not None
    assert lower.missed.code == code


async def test_levels_wanted_and_reached_are_counted() -> None:
    counter = levels_counter()
    raising = LevelRaising(Outside([b"token"]), Outside(), counter)
    wish = wanted(Level.B_LTA, may_be_lower=True)
    await raising.raise_to(cast("DocumentSession", Script(LTA)), wish)
    (metric,) = counter.collect()
    (sample,) = [one for one in metric.samples if one.name.endswith("_total")]
    assert (sample.labels, sample.value) == ({"wanted": "B-LTA", "reached": "B-T"}, 1)


async def test_a_format_that_asks_without_end_is_stopped() -> None:
    class Endless(Script):
        def _added(self, need: Need, what: object) -> None:
            pass

    with pytest.raises(Internal):
        await raise_to(Endless(LTA), Outside([b"token"] * 1000), wanted(Level.B_T))


async def test_a_level_that_the_document_cannot_say_the_needs_of_was_not_reached() -> None:
    """Such as a container without its signer's certificate: nobody knows what to collect."""

    class Silent(Script):
        async def next_need(self, level: Level, digest: DigestAlgorithm) -> Need | None:
            need = await super().next_need(level, digest)
            if need is VALUES:
                raise EvidenceUnavailable("the certificate of a signer is not in the container")
            return need

    reached = await raise_to(Silent(LTA), Outside([b"token"]), wanted(Level.B_LTA, may_be_lower=True))
    assert reached.level is Level.B_T
    assert reached.missed is not None
    assert reached.missed.code == EvidenceUnavailable.code
    with pytest.raises(LevelNotReached, match="only B-T"):
        await raise_to(Silent(LTA), Outside([b"token"]), wanted(Level.B_LTA))


async def test_raising_ends_although_every_step_is_slow() -> None:
    class Endless(Script):
        def _added(self, need: Need, what: object) -> None:
            self.added.append(what)

    moments = iter(range(0, 100_000, 50))
    outside = Outside([b"token"] * 1000)
    raising = LevelRaising(outside, outside, levels_counter(), lambda: float(next(moments)))
    script = Endless(LTA)
    with pytest.raises(LevelNotReached, match="after 300 seconds"):
        await raising.raise_to(cast("DocumentSession", script), wanted(Level.B_T))
    assert len(script.added) == MAX_SECONDS // 50


@pytest.mark.parametrize("addition", [b"increment", b"", None])
async def test_what_is_kept_comes_back(addition: bytes | None) -> None:
    reached = await raise_to(Script(LTA), Outside(), wanted(Level.B_LTA, may_be_lower=True))
    told = Reached(reached.level, reached.missed, ("SEAL_SHIFTED: chữ đè lên mép",))
    assert unpack_reached(pack_reached(told, addition)) == Kept(told, addition)


def test_nothing_kept_is_nothing() -> None:
    assert unpack_reached(None) is None
