"""JSON Web Signatures as files (RFC 7515 section 7): read with limits, written again without touching what is signed.

A signature covers the text of the protected header, a full stop and the text of the payload. These texts are kept as
they came; whatever else a file holds is kept as data.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from services.kernel.errors import DocumentDamaged

MAX_JWS_BYTES = 28 << 20
"""A payload of 16 MiB takes 22 MiB of text; what is left is for certificates, time-stamps and revocation values."""
MAX_PROTECTED_CHARACTERS = 1 << 20
MAX_SIGNATURES = 64
MAX_DEPTH = 24
MAX_STRUCTURAL = 200_000
"""Opening brackets and commas: bounds what a parsed file takes in memory before it is parsed."""

Serialization = Literal["COMPACT", "FLATTENED", "GENERAL"]
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
_SIGNATURE_MEMBERS = ("protected", "header", "signature")


@dataclass(slots=True)
class JwsSignature:
    """One signature: the texts that are signed and the value, and the header that is not signed."""

    protected: str
    """Base64url text of the protected header."""
    signature: str
    """Base64url text of the signature value."""
    header: dict[str, Any] = field(default_factory=dict)
    """JWS Unprotected Header; where `etsiU` lies."""
    other: dict[str, Any] = field(default_factory=dict)
    """Members that RFC 7515 does not name."""

    def protected_header(self) -> dict[str, Any]:
        """Parse the protected header. Raises DocumentDamaged."""
        if len(self.protected) > MAX_PROTECTED_CHARACTERS:
            raise _damaged("a protected header is longer than 1 MiB")
        header = parse_json(from_base64url(self.protected, "protected"))
        if not isinstance(header, dict):
            raise _damaged("a protected header is not a JSON object")
        return header

    def signed_text(self, payload: str | None) -> bytes:
        """Return the JWS Signing Input (RFC 7515 section 5.1, RFC 7797 section 3)."""
        return f"{self.protected}.{payload or ''}".encode()

    def value(self) -> bytes:
        """Decode the signature value."""
        return from_base64url(self.signature, "signature")


@dataclass(slots=True)
class Jws:
    """A file of one payload and one signature or several."""

    payload: str | None
    """As it is signed: base64url text, or with b64=false the text itself; None: detached."""
    signatures: list[JwsSignature]
    serialization: Serialization
    other: dict[str, Any] = field(default_factory=dict)
    """Members beside payload and signatures, of a general or flattened file."""

    def to_bytes(self) -> bytes:
        """Write the file. An unprotected header or a second signature makes a compact one a JSON one."""
        only = self.signatures[0]
        plain = not only.header and not only.other and not self.other
        if self.serialization == "COMPACT" and plain and len(self.signatures) == 1:
            return b".".join(
                (only.protected.encode(), (self.payload or "").encode(), only.signature.encode())
            )
        members: dict[str, Any] = {} if self.payload is None else {"payload": self.payload}
        if self.serialization == "GENERAL" or len(self.signatures) > 1:
            members["signatures"] = [_members(signature) for signature in self.signatures]
        else:
            members |= _members(only)
        return json.dumps(members | self.other, separators=(",", ":")).encode()


def parse_jws(data: bytes) -> Jws:
    """Read a JWS of any of the three serialisations. Raises DocumentDamaged, saying what and where."""
    if len(data) > MAX_JWS_BYTES:
        raise _damaged(f"a JSON signature is at most {MAX_JWS_BYTES} bytes, this one has {len(data)}", "size")
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text.startswith(b"{"):
        return _parse_object(text)
    parts = text.split(b".")
    if len(parts) != 3:
        raise _damaged("the file is neither a JSON object nor a compact JWS of three parts")
    try:
        protected, payload, signature = (part.decode("ascii") for part in parts)
    except UnicodeDecodeError as error:
        raise _damaged("a compact JWS is ASCII text") from error
    # An empty middle part is a detached payload (RFC 7515 appendix F): an empty payload is signed alike.
    return Jws(payload or None, [_checked(JwsSignature(protected, signature))], "COMPACT")


def parse_json(data: bytes) -> Any:
    """Parse hostile JSON: strict UTF-8, no doubled names, no NaN, bounded depth and number of values."""
    if data.count(b"[") + data.count(b"{") + data.count(b",") > MAX_STRUCTURAL:
        raise _damaged(f"the JSON text has more than {MAX_STRUCTURAL} values", "size")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise _damaged(f"the JSON text nests deeper than {MAX_DEPTH} levels", "nesting") from error
    except ValueError as error:
        # json's own text names line and column, the decoder's the byte: no content.
        raise _damaged(f"the text is not JSON in UTF-8 ({type(error).__name__})", "json") from error
    _require_shallow(value)
    return value


def to_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str, where: str) -> bytes:
    """Decode strictly: the alphabet of RFC 4648 section 5, no padding, no white space."""
    if not _BASE64URL.match(text):
        raise _damaged(f"{where} is not base64url text", where)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise _damaged(f"{where} is not base64url text", where) from error


def _parse_object(text: bytes) -> Jws:
    members = parse_json(text)
    payload = members.pop("payload", None)
    if payload is not None and not isinstance(payload, str):
        raise _damaged("payload is not a text", "payload")
    entries = members.pop("signatures", None)
    if entries is None:
        own = {name: members.pop(name) for name in _SIGNATURE_MEMBERS if name in members}
        return Jws(payload, [_signature(own)], "FLATTENED", members)
    if any(name in members for name in _SIGNATURE_MEMBERS):
        # RFC 7515 section 7.2.2: such a file could mean one thing to one reader and another to the next.
        raise _damaged("the file is both a general and a flattened JWS", "signatures")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SIGNATURES:
        raise _damaged(f"a general JWS has 1 to {MAX_SIGNATURES} signatures", "signatures")
    return Jws(payload, [_signature(entry) for entry in entries], "GENERAL", members)


def _signature(members: Any) -> JwsSignature:
    if not isinstance(members, dict):
        raise _damaged("a signature is not a JSON object", "signatures")
    other = {name: value for name, value in members.items() if name not in _SIGNATURE_MEMBERS}
    protected, value = members.get("protected"), members.get("signature")
    header = members.get("header", {})
    if not isinstance(protected, str) or not isinstance(value, str) or not isinstance(header, dict):
        raise _damaged("a signature needs the members protected and signature, as text", "signatures")
    return _checked(JwsSignature(protected, value, header, other))


def _checked(signature: JwsSignature) -> JwsSignature:
    for where, text in (("protected", signature.protected), ("signature", signature.signature)):
        if not text or not _BASE64URL.match(text):
            raise _damaged(f"{where} is not base64url text", where)
    return signature


def _members(signature: JwsSignature) -> dict[str, Any]:
    members: dict[str, Any] = {"protected": signature.protected}
    if signature.header:
        members["header"] = signature.header
    return {**members, "signature": signature.signature, **signature.other}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _damaged("a JSON object has the same name twice", "json")
    return members


def _refuse_constant(_text: str) -> Any:
    raise _damaged("the JSON text holds NaN or Infinity", "json")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise _damaged(f"the JSON text nests deeper than {MAX_DEPTH} levels", "nesting")


def _damaged(text: str, reason: str = "json") -> DocumentDamaged:
    return DocumentDamaged(f"the JSON signature cannot be read: {text}", reason=reason)
