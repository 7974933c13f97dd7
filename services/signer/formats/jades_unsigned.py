"""The unsigned header of a JAdES signature (`etsiU`, ETSI TS 119 182-1 section 5.3): time-stamps and evidence.

New components are written as base64url text, as EU DSS writes them by default; where a signature has clear ones
already, new ones are clear too, because section 5.3.1 forbids a mixture.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from services.kernel.errors import DocumentDamaged
from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData, SignerInfo, x509_only
from services.signer.formats.cms_evidence import Holder
from services.signer.formats.jades_json import from_base64url, parse_json, to_base64url

if TYPE_CHECKING:
    from services.signer.formats.format import Evidence
    from services.signer.formats.jades_json import JwsSignature

MAX_COMPONENTS = 256
SIGNATURE_TIME_STAMP = "sigTst"
CERTIFICATES = "xVals"
REVOCATION = "rVals"
OCSP_RESPONSE = ber.oid("1.3.6.1.5.5.7.16.2")
"""id-ri-ocsp-response, RFC 5940 section 2.1."""

Component = tuple[str, Any]
"""Name and value of one element of etsiU."""


def components(signature: JwsSignature) -> list[Component]:
    """Read etsiU. Raises DocumentDamaged where it is not what section 5.3.1 says."""
    return [_component(element) for element in _elements(signature)]


def has(signature: JwsSignature, name: str) -> bool:
    """Say whether etsiU holds a component of that name."""
    return any(found == name for found, _ in components(signature))


def time_stamps(signature: JwsSignature) -> list[bytes]:
    """Return the tokens (DER) of every signature time-stamp."""
    return [
        _binary(token.get("val"), SIGNATURE_TIME_STAMP)
        for name, value in components(signature)
        if name == SIGNATURE_TIME_STAMP
        for token in _objects(_member(value, "tstTokens"))
    ]


def put_time_stamp(signature: JwsSignature, token: bytes) -> None:
    """Add a signature time-stamp (section 5.3.4; the container is section 5.4.3.3)."""
    _put(signature, SIGNATURE_TIME_STAMP, {"tstTokens": [{"val": _text(token)}]})


def put_evidence(signature: JwsSignature, evidence: Evidence, known: frozenset[bytes]) -> None:
    """Add certificates but the known ones (xVals, section 5.3.5.2) and revocation values (rVals, section 5.3.5.4)."""
    certificates = [value for value in evidence.certificates if value not in known]
    if certificates:
        _put(signature, CERTIFICATES, [{"x509Cert": {"val": _text(value)}} for value in certificates])
    values = {}
    if evidence.crls:
        values["crlVals"] = [{"val": _text(value)} for value in evidence.crls]
    if evidence.ocsp_responses:
        values["ocspVals"] = [{"val": _text(value)} for value in evidence.ocsp_responses]
    if values:
        _put(signature, REVOCATION, values)


def holder(signature: JwsSignature, chain: list[bytes]) -> tuple[list[bytes], Holder]:
    """Return the certificates that need a revocation value (signer's and time-stamp units'), and what there is.

    `chain` is the signer's, its certificate first. Raises DocumentDamaged.
    """
    certificates, crls = list(chain), list[bytes]()
    for name, value in components(signature):
        if name == CERTIFICATES:
            texts = [_member(_member(item, "x509Cert"), "val") for item in _objects(value)]
            certificates += [_binary(text, name) for text in texts if text is not None]
        elif name == REVOCATION:
            crls += [_binary(item.get("val"), name) for item in _objects(_member(value, "crlVals") or [])]
            for item in _objects(_member(value, "ocspVals") or []):
                # As a RevocationInfoChoice (RFC 5940), which is how evidence in CMS is looked through.
                crls.append(ber.encode(ber.CONTEXT_1, OCSP_RESPONSE, _binary(item.get("val"), name)))
    tokens = [SignedData.read(token) for token in time_stamps(signature)]
    for token in tokens:
        certificates += x509_only(token.certificates)
        crls += token.crls
    found = Holder(tuple(dict.fromkeys(certificates)), tuple(dict.fromkeys(crls)))
    units = [found.certificate_of(SignerInfo.read(info)) for token in tokens for info in token.signers]
    if None in units:
        raise _damaged("a time-stamp token does not hold its unit's certificate")
    return [chain[0], *(unit for unit in units if unit is not None)], found


def chain_of(header: dict[str, Any]) -> list[bytes]:
    """Return the certificates (DER) of a protected header's x5c; empty where there is none."""
    values = header.get("x5c", [])
    if not isinstance(values, list) or len(values) > MAX_COMPONENTS:
        raise _damaged("x5c is not an array of certificates")
    return [_binary(value, "x5c") for value in values]


def _elements(signature: JwsSignature) -> list[Any]:
    elements = signature.header.get("etsiU", [])
    if not isinstance(elements, list) or len(elements) > MAX_COMPONENTS:
        raise _damaged(f"etsiU is not an array of at most {MAX_COMPONENTS} elements")
    if len({isinstance(element, str) for element in elements}) > 1:
        raise _damaged("etsiU mixes base64url text and clear values")
    return elements


def _component(element: Any) -> Component:
    value = parse_json(from_base64url(element, "etsiU")) if isinstance(element, str) else element
    if not isinstance(value, dict) or len(value) != 1:
        raise _damaged("an element of etsiU is not one named value")
    return next(iter(value.items()))


def _put(signature: JwsSignature, name: str, value: Any) -> None:
    elements = _elements(signature)
    component: Any = {name: value}
    if not elements or isinstance(elements[0], str):
        component = to_base64url(json.dumps(component, separators=(",", ":")).encode())
    signature.header = {**signature.header, "etsiU": [*elements, component]}


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _damaged("a component of etsiU holds no array of values")
    return value


def _binary(text: Any, where: str) -> bytes:
    if not isinstance(text, str):
        raise _damaged(f"{where} holds no base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged(f"{where} holds no base64 text") from error


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _damaged(text: str) -> DocumentDamaged:
    return DocumentDamaged(f"the JSON signature cannot be read: {text}", reason="etsiU")
