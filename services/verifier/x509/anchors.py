"""On what terms a trust anchor is trusted: by whom it stands, from when until when, and for what.

EN 319 102-1 clause 5.2.6.1 lets anchors come with such constraints; a trust list (ETSI TS 119 612) states them as a
service's type, its status and its history. An anchor without terms is trusted without limit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.verifier.algorithm_policy import Purpose
from services.verifier.domain import Code, Notice, SubIndication

FOREIGN = "foreign"
TRUSTED_FOR = frozenset({Purpose.SIGNATURE, Purpose.TIME_STAMP})
"""What an anchor may be for."""


@dataclass(frozen=True, slots=True)
class AnchorTerms:
    """Terms of one anchor, known by the SHA-256 of its certificate in lower-case hex; one anchor may have several.

    `scope` is by whom it stands, such as "own", "government", "public" or "foreign". What its certificates signed is
    trusted where it existed at or after `trusted_from` and before `trusted_until`; None: no limit.
    """

    sha256: str
    scope: str = ""
    trusted_from: datetime | None = None
    trusted_until: datetime | None = None
    purposes: frozenset[Purpose] = field(default=TRUSTED_FOR)

    def began(self, moment: datetime) -> bool:
        """True at and after its beginning."""
        return self.trusted_from is None or self.trusted_from <= moment

    def ended(self, moment: datetime) -> bool:
        """True at and after its end."""
        return self.trusted_until is not None and self.trusted_until <= moment

    def fields(self) -> dict[str, Any]:
        """The terms as JSON values."""
        return {
            "sha256": self.sha256,
            "scope": self.scope,
            "trusted_from": None if self.trusted_from is None else self.trusted_from.isoformat(),
            "trusted_until": None if self.trusted_until is None else self.trusted_until.isoformat(),
            "purposes": sorted(purpose.value for purpose in self.purposes),
        }

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> AnchorTerms:
        """Read what `fields` wrote."""
        first, last = fields["trusted_from"], fields["trusted_until"]
        return cls(
            fields["sha256"],
            fields["scope"],
            None if first is None else datetime.fromisoformat(first),
            None if last is None else datetime.fromisoformat(last),
            frozenset(map(Purpose, fields["purposes"])),
        )


Terms = Mapping[str, Sequence[AnchorTerms]]
"""Terms by the SHA-256 of the anchor."""


def by_anchor(terms: Iterable[AnchorTerms]) -> dict[str, list[AnchorTerms]]:
    """Terms by the anchor that they are of."""
    found: dict[str, list[AnchorTerms]] = {}
    for one in terms:
        found.setdefault(one.sha256, []).append(one)
    return found


def of_trust_list(data: bytes) -> tuple[tuple[bytes, ...], tuple[AnchorTerms, ...]]:
    """Anchors, DER, and their terms, of a file that `trust_list.document` made. Raises ValueError."""
    try:
        stated = json.loads(data)
        if stated["kind"] != "kyso-trust-list":
            raise ValueError("another kind of file")
        anchors = tuple(base64.b64decode(one["certificate"], validate=True) for one in stated["anchors"])
        terms = tuple(map(AnchorTerms.of_fields, stated["anchors"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the file is no trust list as the command trust-list writes it") from error
    return tuple(dict.fromkeys(anchors)), terms


@dataclass(frozen=True, slots=True)
class AnchorVerdict:
    """Whether an anchor may be relied on; `failure` None: it may. `notices` are for people in either case."""

    failure: SubIndication | None = None
    detail: str = ""
    notices: tuple[Notice, ...] = ()


def judge(terms: Sequence[AnchorTerms], purpose: Purpose, moment: datetime) -> AnchorVerdict:
    """Judge an anchor with these terms for something that existed at `moment`."""
    if not terms:
        return AnchorVerdict()
    untrusted = (Notice(Code.CERT_UNTRUSTED),)
    fitting = [one for one in terms if purpose in one.purposes]
    if not fitting:
        detail = f"the trust anchor is not for this purpose ({purpose.value})"
        return AnchorVerdict(SubIndication.CHAIN_CONSTRAINTS_FAILURE, detail, untrusted)
    holding = [one for one in fitting if one.began(moment) and not one.ended(moment)]
    if holding:
        abroad = all(one.scope == FOREIGN for one in holding)
        return AnchorVerdict(notices=(Notice(Code.CA_FOREIGN),) if abroad else ())
    if any(one.ended(moment) for one in fitting):
        detail = "the trust anchor is not trusted any more"
        return AnchorVerdict(SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE, detail, untrusted)
    detail = "the trust anchor was not trusted yet"
    return AnchorVerdict(SubIndication.CHAIN_CONSTRAINTS_FAILURE, detail, untrusted)
