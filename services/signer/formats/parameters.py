"""What a caller may say about one document signature. Standard library only."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from services.kernel.errors import FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm

FormatName = Literal["PADES", "CADES"]
"""PADES: a PDF signature in the document. CADES: a detached CMS container (.p7s) beside it."""

APPENDING_FORMATS: frozenset[str] = frozenset({"PADES"})
"""Formats whose result is the document followed by what was added; the others' result is the container alone."""

MAX_CHAIN = 8
MAX_CERTIFICATE_BYTES = 32 * 1024
MAX_TEXT_CHARACTERS = 512
MAX_FIELD_NAME_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class SignatureParameters:
    """Everything but the document and the key. Refuses (FieldInvalid) what no format could write."""

    certificate_chain: tuple[bytes, ...]
    """DER certificates, the signer's first, each certified by the next; 1 to 8."""
    algorithm: SigningAlgorithm
    signing_time: datetime
    """Aware; written to the second: /M in PAdES, the signing-time attribute in CAdES."""
    reason: str | None = None
    location: str | None = None
    signer_name: str | None = None
    """Shown by PDF viewers beside the certificate's own subject; leave None unless it says more."""
    field_name: str | None = None
    """PAdES: an empty signature field to fill, or the name of the invisible one to make. None: a free name is taken."""

    def __post_init__(self) -> None:
        """Check lengths and characters once, here."""
        if not 1 <= len(self.certificate_chain) <= MAX_CHAIN:
            raise FieldInvalid(
                f"the certificate chain must have 1 to {MAX_CHAIN} certificates", field="certificate_chain"
            )
        for certificate in self.certificate_chain:
            if not 1 <= len(certificate) <= MAX_CERTIFICATE_BYTES:
                raise FieldInvalid(
                    f"a certificate must be at most {MAX_CERTIFICATE_BYTES} bytes, got {len(certificate)}",
                    field="certificate_chain",
                )
        if self.signing_time.tzinfo is None:
            raise FieldInvalid("the signing time must carry its time zone", field="signing_time")
        _check_text("reason", self.reason, MAX_TEXT_CHARACTERS)
        _check_text("location", self.location, MAX_TEXT_CHARACTERS)
        _check_text("signer_name", self.signer_name, MAX_TEXT_CHARACTERS)
        _check_text("field_name", self.field_name, MAX_FIELD_NAME_CHARACTERS)

    def to_json(self) -> str:
        """Write for a document worker; `from_json` reads it back."""
        return json.dumps(
            {
                "chain": [base64.b64encode(certificate).decode() for certificate in self.certificate_chain],
                "scheme": self.algorithm.scheme.name,
                "digest": self.algorithm.digest.name,
                "time": self.signing_time.astimezone(UTC).isoformat(),
                "texts": [self.reason, self.location, self.signer_name, self.field_name],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SignatureParameters:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        reason, location, signer_name, field_name = raw["texts"]
        return cls(
            certificate_chain=tuple(base64.b64decode(certificate) for certificate in raw["chain"]),
            algorithm=SigningAlgorithm(SignatureScheme[raw["scheme"]], DigestAlgorithm[raw["digest"]]),
            signing_time=datetime.fromisoformat(raw["time"]),
            reason=reason,
            location=location,
            signer_name=signer_name,
            field_name=field_name,
        )


def _check_text(field: str, text: str | None, limit: int) -> None:
    if text is None:
        return
    if not 1 <= len(text) <= limit:
        raise FieldInvalid(f"{field} must have 1 to {limit} characters, got {len(text)}", field=field)
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise FieldInvalid(f"{field} must not contain control characters", field=field)
