"""How many bytes a PAdES signature reserves for its CMS: known before the document is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.signer.formats import cms
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from services.signer.formats.parameters import SignatureParameters

TOKEN_BYTES = 8192
"""Room for one RFC 3161 token with its authority's certificates; tokens of public authorities have 3 to 7 KiB."""
TOKEN_ATTRIBUTE_BYTES = 64
"""What the unsigned attribute round a token takes, and what the lengths outside it grow by."""
_UNIT = 256


def contents_bytes(parameters: SignatureParameters) -> int:
    """Return the bytes to reserve for the CMS in /Contents; it is written with twice as many hexadecimal digits.

    Above B-B a signature time-stamp goes into the same room. Raises FieldInvalid, AlgorithmMismatch.
    """
    parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
    empty = cms.signed_attributes(parts, bytes(parameters.algorithm.digest.size), None)
    room = cms.max_bytes(parts, empty)
    if parameters.envelope.level is not Level.B_B:
        room += TOKEN_BYTES + TOKEN_ATTRIBUTE_BYTES
    return -(-room // _UNIT) * _UNIT
