"""The unsigned header of a JAdES signature (`etsiU`, ETSI TS 119 182-1 section 5.3): values, and what stamps are over.

Nothing here is signed, so nothing here can fail a signature: what cannot be read is of no use. What an archive
time-stamp covers is the text of the elements before it, whether or not they can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.verifier.formats import cms
from services.verifier.formats.ber import BerError
from services.verifier.formats.jws_text import TextError, from_base64, from_base64url, parse_json

MAX_COMPONENTS = 1000
MAX_VALUES = 2000
"""Certificates and revocation values of one signature."""
_CERTIFICATES = frozenset({"xVals", "axVals"})
_REVOCATION = frozenset({"rVals", "arVals"})
_BOTH = frozenset({"tstVD", "anyValData"})
"""Certificates and revocation values together (TS 119 182-1 5.3.5.6, 5.3.6)."""


@dataclass(frozen=True, slots=True)
class Component:
    """One element of etsiU. `text`: its base64url; None where it is written in the clear. Unreadable: no name."""

    name: str
    value: Any
    text: bytes | None


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
class Unsigned:
    """The elements in their order. `readable` false: etsiU is not what section 5.3.1 says, or too long."""

    components: tuple[Component, ...] = ()
    readable: bool = True

    @property
    def values(self) -> Values:
        """Of all elements, and of the time-stamp tokens in them."""
        return values_of(self.components)


def read(header: dict[str, Any]) -> Unsigned:
    """Read etsiU of an unprotected header; empty where there is none. Raises nothing."""
    elements = header.get("etsiU", [])
    if not isinstance(elements, list) or len(elements) > MAX_COMPONENTS:
        return Unsigned(readable=False)
    components = tuple(_component(element) for element in elements)
    # Section 5.3.1: all are base64url, or none.
    mixed = len({component.text is None for component in components}) > 1
    return Unsigned(components, readable=not mixed)


def values_of(components: tuple[Component, ...]) -> Values:
    """Certificates and revocation values of these elements (section 5.3.5), and those inside their tokens."""
    certificates, crls, ocsps = list[bytes](), list[bytes](), list[bytes]()
    for component in components:
        certificates += _encapsulated(_x509(component), "val")
        for revocation in _revocation(component):
            crls += _encapsulated(_member(revocation, "crlVals"), "val")
            ocsps += _encapsulated(_member(revocation, "ocspVals"), "val")
        for token in tokens(component):
            try:
                message = cms.parse(token)[0]
            except BerError:
                continue
            certificates += message.certificates
            crls += message.crls
            ocsps += message.ocsps
    return Values(*(tuple(dict.fromkeys(found))[:MAX_VALUES] for found in (certificates, crls, ocsps)))


def tokens(component: Component) -> list[bytes]:
    """The tokens of a time-stamp container (section 5.4.3.3); empty for any other element."""
    return container_tokens(component.value)


def container_tokens(value: Any) -> list[bytes]:
    """The tokens of a tstContainer."""
    return _encapsulated(_member(value, "tstTokens"), "val")


def _component(element: Any) -> Component:
    text = None
    if isinstance(element, str):
        # What is no base64url could not have been stamped as such; kept, so that an imprint is over all there is.
        text = element.encode("utf-8")
        try:
            element = parse_json(from_base64url(element, "an element of etsiU"))
        except TextError:
            element = None
    if not isinstance(element, dict) or len(element) != 1:
        return Component("", None, text)
    name, value = next(iter(element.items()))
    return Component(name, value, text)


def _x509(component: Component) -> list[Any]:
    """Members that hold certificates: x509Cert of each certificate object."""
    listed = component.value if component.name in _CERTIFICATES else None
    if component.name in _BOTH:
        listed = _member(component.value, "xVals") or _member(component.value, "certVals")
    return [_member(one, "x509Cert") for one in listed] if isinstance(listed, list) else []


def _revocation(component: Component) -> Iterator[Any]:
    if component.name in _REVOCATION:
        yield component.value
    if component.name in _BOTH:
        yield _member(component.value, "rVals") or _member(component.value, "revVals")


def _encapsulated(objects: Any, member: str) -> list[bytes]:
    """Octets of objects of type pkiOb or tstToken (sections 5.4.2, 5.4.3.3); one that cannot be read is left out."""
    found = []
    for one in objects if isinstance(objects, list) else []:
        try:
            found.append(from_base64(_member(one, member), "a value"))
        except TextError:
            continue
    return found


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
