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
from services.signer.formats.cms_container import embedded_certificates
from services.signer.formats.jades_json import from_base64url, parse_json, to_base64url

if TYPE_CHECKING:
    from services.signer.formats.format import Evidence
    from services.signer.formats.jades_json import JwsSignature

MAX_COMPONENTS = 256
SIGNATURE_TIME_STAMP = "sigTst"
CERTIFICATES = "xVals"
REVOCATION = "rVals"

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
    _put(signature, REVOCATION, values)


def certificates_of(tokens: list[bytes]) -> list[bytes]:
    """Return the certificates (DER) that lie in time-stamp tokens. Raises DocumentDamaged where one is no CMS."""
    return [certificate for token in tokens for certificate in embedded_certificates(token)]


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
        raise _damaged("a time-stamp container holds no array of tokens")
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
