"""JSON Web Signatures as files (RFC 7515 section 7): the three serialisations, taken apart without touching a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from services.verifier.formats.jws_text import TextError, TextLimit, from_base64url, parse_json

MAX_SIGNATURES = 500
MAX_HEADER_CHARACTERS = 1 << 20
"""Of a protected header's text."""
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_SIGNATURE_MEMBERS = frozenset({"protected", "header", "signature"})
_FIRST_PART = re.compile(rb"[A-Za-z0-9_-]{2,}")
_OBJECT = re.compile(rb'\{[ \t\r\n]*["}]')
_MARKS = (b'"signature"', b'"signatures"', b'"protected"')


@dataclass(frozen=True, slots=True)
class JwsSignature:
    """One signature: texts as they stand, the header that is not signed, and names of members that mean nothing here."""

    protected: str
    signature: str
    header: dict[str, Any] = field(default_factory=dict)
    strange: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Jws:
    """A payload with its signatures; one that cannot be read is its fault.

    `payload` is as it is signed: base64url text, or with b64=false the text itself; None: it is detached.
    """

    payload: str | None
    signatures: tuple[JwsSignature | TextError, ...]
    strange: tuple[str, ...] = ()


def looks_like(data: bytes) -> bool:
    """True for JSON objects, signed or not, and for three parts of which the first is base64url of a JSON object."""
    text = data.removeprefix(_BOM).lstrip(_SPACE)
    if text[:1] == b"{":
        # Other texts start with that too, such as RTF.
        return _OBJECT.match(text) is not None
    if data.count(b".", 0, MAX_HEADER_CHARACTERS) < 1:
        return False
    first, _, rest = text.partition(b".")
    if _FIRST_PART.fullmatch(first) is None or rest.count(b".") != 1:
        return False
    head = first[:64].decode("ascii")
    try:
        start = from_base64url(head[: len(head) // 4 * 4], "the first part")
    except TextError:
        return False
    return start.lstrip(_SPACE)[:1] == b"{"


def parse(data: bytes) -> Jws | None:
    """Take a file apart; None for JSON without signatures. Raises TextError, TextLimit."""
    text = data.removeprefix(_BOM).strip(_SPACE)
    if text[:1] == b"{":
        if b"\\u" not in text and not any(mark in text for mark in _MARKS):
            # Whatever else it is, it has no signature: nothing is said of whether it is good JSON.
            return None
        return of_members(parse_json(text))
    parts = text.split(b".")
    if len(parts) != 3:
        raise TextError("a compact JWS has three parts")
    try:
        protected, payload, signature = (part.decode("ascii") for part in parts)
    except UnicodeDecodeError as error:
        raise TextError("a compact JWS is ASCII text") from error
    # An empty part in the middle is a detached payload (RFC 7515 appendix F).
    return Jws(payload or None, (JwsSignature(protected, signature),))


def of_members(members: Any) -> Jws | None:
    """The general or the flattened serialisation; None where it has no signature. Raises TextError, TextLimit."""
    if not isinstance(members, dict):
        raise TextError("a JWS in JSON is an object")
    if not _is_meant(members):
        return None
    payload = members.get("payload")
    if payload is not None and not isinstance(payload, str):
        raise TextError("payload is not a text")
    if "signatures" not in members:
        own = {name: members[name] for name in _SIGNATURE_MEMBERS if name in members}
        strange = tuple(name for name in members if name not in {*_SIGNATURE_MEMBERS, "payload"})
        return Jws(payload or None, (_signature(own),), strange)
    if _SIGNATURE_MEMBERS & members.keys():
        # RFC 7515 7.2.2: such a file could mean one thing to one reader and another to the next.
        raise TextError("the file is a general and a flattened JWS at once")
    entries = members["signatures"]
    if not isinstance(entries, list) or not entries:
        raise TextError("signatures is not an array with a signature")
    if len(entries) > MAX_SIGNATURES:
        raise TextLimit(f"more than {MAX_SIGNATURES} signatures")
    strange = tuple(name for name in members if name not in ("payload", "signatures"))
    return Jws(payload or None, tuple(_guarded(entry) for entry in entries), strange)


def _is_meant(members: dict[str, Any]) -> bool:
    """True for what is a JWS, or a damaged one; other documents have members of these names too."""
    entries = members.get("signatures")
    if "signatures" in members:
        listed = entries if isinstance(entries, list) else []
        return "payload" in members or any(
            isinstance(e, dict) and _SIGNATURE_MEMBERS & e.keys() for e in listed
        )
    own = members.keys() & {*_SIGNATURE_MEMBERS, "payload"}
    if len(own) < 2:
        return False
    return "protected" in own or ("signature" in own and isinstance(members.get("payload", ""), str))


def _guarded(entry: Any) -> JwsSignature | TextError:
    """Each signature in its own guard: one that cannot be read must not hide the others."""
    try:
        return _signature(entry)
    except TextError as error:
        return error


def _signature(members: Any) -> JwsSignature:
    if not isinstance(members, dict):
        raise TextError("a signature is not a JSON object")
    protected, value, header = members.get("protected"), members.get("signature"), members.get("header", {})
    if not isinstance(protected, str) or not isinstance(value, str):
        raise TextError("a signature needs the members protected and signature, as texts")
    if not isinstance(header, dict):
        raise TextError("the header that is not signed is not an object")
    strange = tuple(name for name in members if name not in _SIGNATURE_MEMBERS)
    return JwsSignature(protected, value, header, strange)
