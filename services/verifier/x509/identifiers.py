"""Subject identifiers of Vietnamese certificates: MST, CCCD, CMND, passport (verification rules, section 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.verifier.domain import Identifier

_KINDS = {"MST": "tax", "CCCD": "citizen", "CMND": "old_id", "CMT": "old_id", "HC": "passport"}
_FORMS = {
    "tax": re.compile(r"[0-9]{10}(?:-?[0-9]{3})?|[0-9]{12}"),
    "citizen": re.compile(r"[0-9]{12}"),
    "old_id": re.compile(r"[0-9]{9}"),
    "passport": re.compile(r"[A-Z0-9]{6,12}"),
}
"""ASCII digits alone: those of other scripts look like a number and are none that anybody issued."""
_PREFIXED = re.compile(r"\s*([A-Za-z]{2,8})\s*[:_]\s*(.+?)\s*\Z", re.DOTALL)
_SPACES = re.compile("[\\s\u00a0\u2007\u202f]+")
_BRANCH = re.compile(r"([0-9]{10})-?([0-9]{3})")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
MAX_VALUE = 256


def parse(value: str, *, only_known: bool) -> Identifier | None:
    """The identifier in one attribute value, or None. `only_known` refuses prefixes that the map does not have."""
    match = _PREFIXED.match(value[:MAX_VALUE])
    if match is None:
        return None
    prefix, raw = match.group(1).upper(), match.group(2)
    kind = _KINDS.get(prefix)
    if kind is None:
        return None if only_known else Identifier("other", _SPACES.sub(" ", raw), prefix, True)
    compact = _DASHES.sub("-", _SPACES.sub("", raw)).upper()
    well_formed = _FORMS[kind].fullmatch(compact) is not None
    branch = _BRANCH.fullmatch(compact) if kind == "tax" else None
    if branch:
        compact = f"{branch.group(1)}-{branch.group(2)}"
    return Identifier(kind, compact if well_formed else raw, prefix, well_formed)


def collect(uids: Iterable[str], others: Iterable[str]) -> tuple[Identifier, ...]:
    """All identifiers of a subject: every UID value, and known prefixes in O, CN and serialNumber; each once."""
    found: dict[tuple[str, str], Identifier] = {}
    for values, only_known in ((uids, False), (others, True)):
        for value in values:
            identifier = parse(value, only_known=only_known)
            if identifier is not None:
                found.setdefault((identifier.kind, identifier.value), identifier)
    return tuple(found.values())


def masked(value: str) -> str:
    """For logs: first three and last three characters, the rest as stars."""
    return value[:3] + "*" * (len(value) - 6) + value[-3:] if len(value) > 6 else "*" * len(value)
