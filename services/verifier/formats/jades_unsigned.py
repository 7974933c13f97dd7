"""The unsigned header of a JAdES signature (`etsiU`, ETSI TS 119 182-1 section 5.3): values, and what stamps are over.

Nothing here is signed, so nothing here can fail a signature: what cannot be read is of no use. What an archive
time-stamp covers is the text of the elements before it, whether or not they can be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.verifier.formats import cms, revocation_values
from services.verifier.formats.ber import BerError
from services.verifier.formats.jws_text import (
    MAX_VALUES,
    TextError,
    TextLimit,
    from_base64,
    from_base64url,
    parse_json,
    values_in,
)

MAX_COMPONENTS = 1000
MAX_EVIDENCE = 2000
"""Certificates, CRLs and OCSP responses of one signature, of each kind."""
_CERTIFICATES = frozenset({"xVals", "axVals"})
_REVOCATION = frozenset({"rVals", "arVals"})
_BOTH = frozenset({"tstVD", "anyValData"})
"""Certificates and revocation values together (TS 119 182-1 5.3.5.6, 5.3.6)."""


@dataclass(frozen=True, slots=True)
class Values:
    """Certificates, CRLs and OCSP responses, each in DER."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    @property
    def all(self) -> tuple[bytes, ...]:
        """Everything."""
        return (*self.certificates, *self.crls, *self.ocsps)


@dataclass(frozen=True, slots=True)
class Component:
    """One element of etsiU. `text`: its base64url; None where it is written in the clear. Unreadable: no name.

    `tokens` are those of a time-stamp container (section 5.4.3.3); `values` stand in it (section 5.3.5) or in a token.
    """

    name: str
    value: Any
    text: bytes | None
    tokens: tuple[bytes, ...] = ()
    values: Values = field(default_factory=Values)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The elements in their order. `readable` false: etsiU is not what section 5.3.1 says, or too long."""

    components: tuple[Component, ...] = ()
    readable: bool = True

    @property
    def values(self) -> Values:
        """Of all elements."""
        return joined(component.values for component in self.components)


def read(header: dict[str, Any]) -> Unsigned:
    """Read etsiU of an unprotected header; empty where there is none. Raises nothing."""
    elements = header.get("etsiU", [])
    if not isinstance(elements, list) or len(elements) > MAX_COMPONENTS:
        return Unsigned(readable=False)
    components, left = [], MAX_VALUES
    for element in elements:
        component, count = _component(element, left)
        left -= count
        components.append(component)
    # Section 5.3.1: all are base64url, or none.
    mixed = len({component.text is None for component in components}) > 1
    return Unsigned(tuple(components), readable=not mixed and left > 0)


def joined(parts: Iterable[Values]) -> Values:
    """Values together, each once."""
    every = list(parts)
    return Values(
        _once(value for one in every for value in one.certificates),
        _once(value for one in every for value in one.crls),
        _once(value for one in every for value in one.ocsps),
    )


def _once(values: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(values))[:MAX_EVIDENCE]


def container_tokens(value: Any) -> tuple[bytes, ...]:
    """The tokens of a tstContainer (section 5.4.3.3); none where the value is something else."""
    return _encapsulated(_member(value, "tstTokens"))


def _component(element: Any, left: int) -> tuple[Component, int]:
    """One element, and how many of the values that may still be read it took."""
    text, count = None, 0
    if isinstance(element, str):
        # What is no base64url could not have been stamped as such; kept, so that an imprint is over all there is.
        text = element.encode("utf-8")
        try:
            octets = from_base64url(element, "an element of etsiU")
            count = values_in(octets, left)
            element = parse_json(octets, left)
        except TextLimit:
            element, count = None, left
        except TextError:
            element = None
    if not isinstance(element, dict) or len(element) != 1:
        return Component("", None, text), count
    name, value = next(iter(element.items()))
    tokens = container_tokens(value)
    values = joined((_stated(name, value), *map(_inside, tokens)))
    return Component(name, value, text, tokens, values), count


def _stated(name: str, value: Any) -> Values:
    """Section 5.3.5; both kinds together in 5.3.5.6 and 5.3.6."""
    certificates = revocation = None
    if name in _CERTIFICATES:
        certificates = value
    elif name in _REVOCATION:
        revocation = value
    elif name in _BOTH:
        certificates = _member(value, "xVals") or _member(value, "certVals")
        revocation = _member(value, "rVals") or _member(value, "revVals")
    listed = certificates if isinstance(certificates, list) else []
    ocsps = _encapsulated(_member(revocation, "ocspVals"))
    return Values(
        _encapsulated([_member(one, "x509Cert") for one in listed]),
        _encapsulated(_member(revocation, "crlVals")),
        tuple(map(revocation_values.as_response, ocsps)),
    )


def _inside(token: bytes) -> Values:
    try:
        message = cms.parse(token)[0]
    except BerError:
        return Values()
    return Values(message.certificates, message.crls, message.ocsps)


def _encapsulated(objects: Any) -> tuple[bytes, ...]:
    """Octets of objects of type pkiOb or tstToken (section 5.4); one that cannot be read is left out."""
    found = []
    for one in objects[:MAX_EVIDENCE] if isinstance(objects, list) else []:
        try:
            found.append(from_base64(_member(one, "val"), "a value"))
        except TextError:
            continue
    return tuple(found)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
