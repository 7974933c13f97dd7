"""Who asks, what the token lets it do, and which part of the tree it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.kernel.errors import DocumentTypeNotAllowed, FieldInvalid, NotFound, ScopeMissing

SCOPES = (
    "sign:hash",
    "sign:document",
    "verify",
    "credentials:read",
    "credentials:write",
    "registry:read",
    "registry:write",
    "audit:read",
)
"""Every scope there is, in the order in which they are written into tokens."""
ANY_DOCUMENT_TYPE = "*"
MAX_DOCUMENT_TYPES = 100
MAX_DOCUMENT_TYPES_CHARACTERS = 3_000
"""Of all names together: they are written into every token, and doors take tokens of 8,192 characters at most."""
MAX_CLIENT_IDS = 100

_DOCUMENT_TYPE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Caller:
    """A client whose access token was verified. It reaches its own agency and every one below it."""

    client_id: str
    agency_id: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raise ScopeMissing where the token does not hold the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(
                f"this call needs the scope {scope}: ask for a token that holds it", scope=scope
            )

    def reaches(self, path: Sequence[str]) -> bool:
        """Tell whether an agency (by its path, itself included) is this caller's own or lies below it."""
        return self.agency_id in path

    def require_reach(self, path: Sequence[str], agency_id: str) -> None:
        """Raise NotFound for an agency out of reach: what is elsewhere is not told apart from what is not there."""
        if not self.reaches(path):
            raise no_agency(agency_id)


def no_agency(agency_id: str) -> NotFound:
    """Make the error for an agency that is not there or out of reach."""
    return NotFound("no such agency, or none that this client may see", id=agency_id[:64])


def scopes(asked: Iterable[str], held: frozenset[str]) -> tuple[str, ...]:
    """Check the scopes given to a new client: known, at least one, none that the giver does not hold."""
    wanted = set(asked)
    unknown = wanted.difference(SCOPES)
    if unknown or not wanted:
        raise FieldInvalid(f"scopes must be one or more of {', '.join(SCOPES)}", field="scopes")
    if not wanted <= held:
        beyond = " ".join(scope for scope in SCOPES if scope in wanted - held)
        raise ScopeMissing(f"a client cannot give scopes that it does not hold: {beyond}", scope=beyond)
    return tuple(scope for scope in SCOPES if scope in wanted)


def document_types(values: Sequence[str]) -> tuple[str, ...]:
    """Check a document-type policy: names such as "cong-van", or "*" alone; empty: the client signs no document type."""
    if len(values) > MAX_DOCUMENT_TYPES:
        raise FieldInvalid(f"at most {MAX_DOCUMENT_TYPES} document types", field="document_types")
    if ANY_DOCUMENT_TYPE in values:
        if len(values) > 1:
            raise FieldInvalid('"*" stands alone among document types', field="document_types")
        return (ANY_DOCUMENT_TYPE,)
    for index, value in enumerate(values):
        if len(value) > 64 or not _DOCUMENT_TYPE.fullmatch(value):
            raise FieldInvalid(
                'a document type is written in small letters, digits and hyphens, such as "cong-van"',
                field=f"document_types[{index}]",
            )
    if sum(map(len, values)) > MAX_DOCUMENT_TYPES_CHARACTERS:
        raise FieldInvalid(
            f"the document types may have at most {MAX_DOCUMENT_TYPES_CHARACTERS} characters together",
            field="document_types",
        )
    return tuple(dict.fromkeys(values))


def require_document_types(asked: Iterable[str], held: Sequence[str]) -> None:
    """Raise DocumentTypeNotAllowed where a new client would get a document type that the giver does not hold."""
    if ANY_DOCUMENT_TYPE in held:
        return
    beyond = [value for value in asked if value not in held]
    if beyond:
        raise DocumentTypeNotAllowed(
            f"a client cannot give document types that it does not hold: {' '.join(beyond)[:200]}",
            field="document_types",
        )


def idempotency_key(value: str) -> str:
    """Check a client's key for at-most-once: 1 to 128 printable ASCII characters."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise FieldInvalid(
            "idempotency_key is required: 1 to 128 printable ASCII characters", field="idempotency_key"
        )
    return value
