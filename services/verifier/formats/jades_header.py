"""The protected header of a JSON signature (RFC 7515 section 4, RFC 7797, ETSI TS 119 182-1 sections 5.1 and 5.2).

What the unprotected header says of a key is a hint that nobody signed; whatever else belongs into the protected one is
refused there. Addresses (x5u, jku, spURI) are never fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier.algorithms import SignatureAlgorithm
from services.verifier.formats import jws_algorithms
from services.verifier.formats.cms import CertificateReference
from services.verifier.formats.jws import MAX_HEADER_CHARACTERS, JwsSignature
from services.verifier.formats.jws_text import (
    TextError,
    TextLimit,
    from_base64,
    from_base64url,
    parse_json,
)

MAX_CERTIFICATES = 50
MAX_REFERENCES = 50
MAX_MEMBERS = 5000
"""Values in one protected header, all together."""
_HINTS = frozenset({"x5c", "x5t", "x5t#S256", "x5u", "jku", "jwk", "kid"})
"""May stand in either header: what they lead to is judged by the signature value and by trust."""
_QUALIFYING = frozenset(
    {"sigT", "sigX5ts", "x5t#o", "sigD", "srCms", "srCm", "sigPl", "srAts", "adoTst", "sigPId"}
)
"""Header parameters of TS 119 182-1 that say more than a plain JWS."""
_UNDERSTOOD = _HINTS | _QUALIFYING | {"alg", "cty", "typ", "crit", "b64", "iat", "nbf", "exp", "etsiU"}
_PROTECTED_ONLY = _QUALIFYING | {"alg", "cty", "typ", "crit", "b64", "iat", "nbf", "exp"}
_PARTS = frozenset({"protected", "unprotected", "header", "signature", "signatures"})
_PAYLOADS = frozenset({"payload", "payloads", "content", "contents", "data", "document", "documents"})
"""Names under which a reader looks for what is signed; none but the first is a JWS's own."""
_NAMES = frozenset(name.casefold() for name in _UNDERSTOOD | _PARTS | _PAYLOADS)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
"""RFC 3339 5.6."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_PADDING = re.compile(r"={1,2}\Z")
_LAST_SECOND = 253402300799
"""Of the year 9999, which is the last that times can tell."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a protected header says. `references` all name the signer's certificate, of `listed` one does.

    `certificates` are those of x5c, the signer's first; `strange` are names in the unprotected header that mean nothing
    here. `key` came bare (jwk).
    """

    scheme: SignatureAlgorithm
    encoded: bool = True
    claimed_time: datetime | None = None
    references: tuple[CertificateReference, ...] = ()
    listed: tuple[CertificateReference, ...] = ()
    certificates: tuple[bytes, ...] = ()
    unprotected_certificates: tuple[bytes, ...] = ()
    signed_data: Any = None
    content_stamps: Any = None
    key: PublicKeyTypes | None = None
    strange: tuple[str, ...] = ()
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def form(self) -> str:
        """JAdES-B-B where the certificate's reference and the time are signed (TS 119 182-1 6.3), JAdES, or JWS."""
        if (self.references or self.listed) and self.claimed_time is not None:
            return "JAdES-B-B"
        return "JAdES" if self.names & _QUALIFYING else "JWS"


def read(signature: JwsSignature) -> Header:
    """Read both headers. Raises TextError, TextLimit, NoSigner, UnknownAlgorithm."""
    if len(signature.protected) > MAX_HEADER_CHARACTERS:
        raise TextLimit(f"a protected header of more than {MAX_HEADER_CHARACTERS} characters")
    members = parse_json(from_base64url(signature.protected, "the protected header"), MAX_MEMBERS)
    if not isinstance(members, dict):
        raise TextError("the protected header is not a JSON object")
    loose = signature.header
    _disjoint(members, loose)
    _critical(members)
    claimed = _claimed_time(members)
    _not_before(members, claimed)
    _not_after(members, claimed)
    hints = {name: loose[name] for name in ("x5c", "jwk") if name in loose}
    return Header(
        scheme=jws_algorithms.scheme_of(members.get("alg")),
        encoded=_is_encoded(members),
        claimed_time=claimed,
        references=_references(members),
        listed=_listed(members.get("sigX5ts")),
        certificates=_certificates(members.get("x5c", [])),
        unprotected_certificates=_certificates(hints.get("x5c", [])),
        signed_data=members.get("sigD"),
        content_stamps=members.get("adoTst"),
        key=_key(members.get("jwk", hints.get("jwk"))),
        strange=tuple(name for name in loose if name not in _UNDERSTOOD),
        names=frozenset(members),
    )


def _disjoint(members: dict[str, Any], loose: dict[str, Any]) -> None:
    """RFC 7515 4 and 7.2.1: no name in both headers; what decides on what is signed must be signed itself."""
    both = members.keys() & loose.keys()
    if both:
        raise TextError(f"{min(both)[:40]!r} stands in the protected and in the unprotected header")
    moved = loose.keys() & _PROTECTED_ONLY
    if moved:
        raise TextError(f"{min(moved)!r} stands in the header that is not signed")
    if "etsiU" in members:
        raise TextError("etsiU stands in the protected header, where nothing could be added to it")


def _critical(members: dict[str, Any]) -> None:
    """RFC 7515 4.1.11: whoever does not understand all of these must refuse the signature.

    An empty list, doubled names, and names that need no mention are borne: the section leaves that to the reader.
    """
    names = members.get("crit", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TextError("crit is not an array of names")
    unknown = [name for name in names if name not in _UNDERSTOOD]
    if unknown:
        raise TextError(f"the header demands that {unknown[0][:40]!r} is understood (crit), and it is not")


def _is_encoded(members: dict[str, Any]) -> bool:
    """RFC 7797 3 and 6: false must be named as critical, or others would read another payload."""
    encoded = members.get("b64", True)
    if not isinstance(encoded, bool):
        raise TextError("b64 is neither true nor false")
    if not encoded and "b64" not in members.get("crit", []):
        raise TextError("b64 is false and not named in crit")
    return encoded


def _claimed_time(members: dict[str, Any]) -> datetime | None:
    """`iat` (TS 119 182-1 5.1.11) or `sigT` (5.2.1); an `iat` beyond all times, as of milliseconds, says nothing."""
    stated = members.get("sigT")
    moment = None
    if stated is not None:
        if not isinstance(stated, str) or _TIME.fullmatch(stated) is None:
            raise TextError("sigT is not a date and time in UTC (RFC 3339)")
        try:
            moment = datetime.fromisoformat(stated).astimezone(UTC)
        except ValueError as error:
            raise TextError("sigT is not a date and time in UTC (RFC 3339)") from error
    return _numeric_date(members, "iat") or moment


def _numeric_date(members: dict[str, Any], name: str) -> datetime | None:
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TextError(f"{name} is not a number of seconds")
    return datetime.fromtimestamp(value, UTC) if 0 <= value <= _LAST_SECOND else None


def _limit(members: dict[str, Any], name: str) -> datetime | None:
    """A date as RFC 7519 writes it, in seconds, or as some signers do, in the words of RFC 3339; None beyond all times."""
    value = members.get(name)
    if not isinstance(value, str):
        return _numeric_date(members, name)
    try:
        if _DATE_TIME.fullmatch(value) is None:
            raise ValueError(name)
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TextError(f"{name} is neither a number of seconds nor a date and time (RFC 3339)") from error


def _not_before(members: dict[str, Any], claimed: datetime | None) -> None:
    """RFC 7519 4.1.5 and 5.3: the signer's word that it is not to be used before; signing earlier contradicts it."""
    earliest = _limit(members, "nbf")
    if "nbf" in members and (earliest is None or claimed is None or claimed < earliest):
        raise TextError(
            "the signature is not to be used before a time (nbf) that its signing time lies before"
        )


def _not_after(members: dict[str, Any], claimed: datetime | None) -> None:
    """RFC 7519 4.1.4 and 5.3: the signer's word that it is not to be used from then on; signing later contradicts it.

    A signature that was made in time goes on saying what was signed. Where it is not to be told whether it was, `crit`
    decides.
    """
    latest = _limit(members, "exp")
    if latest is None or claimed is None:
        contradicted = "exp" in members and "exp" in members.get("crit", [])
    else:
        contradicted = claimed >= latest
    if contradicted:
        raise TextError(
            "the signature is not to be used after a time (exp) that its signing time is not before"
        )


def is_meant(name: str) -> bool:
    """True where a member of this name could be taken for a part of the signature, or for what is signed."""
    return name.strip().casefold() in _NAMES


def _references(members: dict[str, Any]) -> tuple[CertificateReference, ...]:
    """Digests that name the signer's certificate: x5t, x5t#S256 (RFC 7515 4.1.7, 4.1.8), x5t#o (TS 119 182-1 5.2.2.2)."""
    found = []
    for name, label in (("x5t", "SHA-1"), ("x5t#S256", "SHA-256")):
        if name in members:
            found.append(CertificateReference(jws_algorithms.OIDS[label], octets(members[name], name)))
    if "x5t#o" in members:
        found.append(_reference(members["x5t#o"], "x5t#o"))
    return tuple(found)


def _listed(value: Any) -> tuple[CertificateReference, ...]:
    """TS 119 182-1 5.2.2.3: certificates of the path, the signer's among them."""
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_REFERENCES:
        raise TextError(f"sigX5ts is not an array of 1 to {MAX_REFERENCES} references")
    return tuple(_reference(one, "sigX5ts") for one in value)


def _reference(value: Any, what: str) -> CertificateReference:
    if not isinstance(value, dict):
        raise TextError(f"a reference of {what} is not an object")
    label = digest_label(value.get("digAlg"), what)
    return CertificateReference(jws_algorithms.OIDS[label], octets(value.get("digVal"), what))


def digest_label(name: Any, what: str) -> str:
    """Label of a digest such as "S256". Raises UnknownAlgorithm."""
    if not isinstance(name, str) or name not in jws_algorithms.DIGESTS:
        raise jws_algorithms.UnknownAlgorithm(f"the digest algorithm of {what} is not known")
    return jws_algorithms.DIGESTS[name]


def octets(value: Any, what: str) -> bytes:
    """A digest in a protected header. Some signers pad it: there it is signed as it stands. Raises TextError."""
    if not isinstance(value, str):
        raise TextError(f"{what} is not a text")
    padded = len(value) % 4 == 0
    return from_base64url(_PADDING.sub("", value) if padded else value, what)


def _certificates(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_CERTIFICATES:
        raise TextError(f"x5c is not an array of at most {MAX_CERTIFICATES} certificates")
    # Broken into lines by some signers. What comes out is judged as a certificate, however it was written.
    texts = ("".join(one.split()) if isinstance(one, str) else one for one in value)
    return tuple(from_base64(one, "a certificate of x5c") for one in texts)


def _key(value: Any) -> PublicKeyTypes | None:
    return None if value is None else jws_algorithms.key_of(value)
