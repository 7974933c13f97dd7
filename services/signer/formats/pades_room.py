"""How much room a PAdES signature needs in /Contents: known before anything is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.signer.formats import cms
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from services.signer.formats.parameters import SignatureParameters

ROOM_UNIT = 256
TIME_STAMP_BYTES = 8 * 1024
"""Room for a time-stamp token with its certificates, where the level will need one."""


def contents_bytes(parameters: SignatureParameters) -> int:
    """Return the bytes to reserve for the CMS in /Contents, a multiple of 256; twice as many hexadecimal digits."""
    digest = parameters.algorithm.digest
    parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
    room = cms.max_bytes(parts, cms.signed_attributes(parts, bytes(digest.size), None))
    if parameters.envelope.level is not Level.B_B:
        room += TIME_STAMP_BYTES
    return -(-room // ROOM_UNIT) * ROOM_UNIT
