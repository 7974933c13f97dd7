"""What PAdES must know of a time-stamp token (RFC 3161 section 2.4.2) to know that it belongs where it is put."""

from __future__ import annotations

import hashlib

from services.kernel.values import DigestAlgorithm
from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData
from services.signer.formats.errors import SelfCheckFailed

_TST_INFO = ber.oid("1.2.840.113549.1.9.16.1.4")
_HASH_NAMES = {ber.oid(algorithm.oid): algorithm.hashlib_name for algorithm in DigestAlgorithm}


def imprint(token: bytes) -> tuple[str, bytes]:
    """Return a token's messageImprint: hashlib's name of the algorithm, and the digest.

    Raises DocumentDamaged where it is no token, SelfCheckFailed where its algorithm is none of ours.
    """
    data = SignedData.read(token)
    content = data.content
    if data.content_type != _TST_INFO or content is None:
        raise ber.damaged("it is no time-stamp token (RFC 3161 section 2.4.2)", 0)
    fields = ber.children(ber.whole(content))
    held = ber.children(fields[2]) if len(fields) > 2 else []
    identifier = ber.children(held[0]) if len(held) == 2 else []
    if not identifier:
        raise ber.damaged("the time-stamp token has no messageImprint", 0)
    name = _HASH_NAMES.get(identifier[0].encoded)
    if name is None:
        raise SelfCheckFailed("the time-stamp token's imprint is by another algorithm than was asked for")
    return name, ber.octets(held[1])


def algorithm_of(token: bytes) -> DigestAlgorithm:
    """Return the algorithm of a token's imprint; raises what `imprint` raises."""
    name, _ = imprint(token)
    return next(algorithm for algorithm in DigestAlgorithm if algorithm.hashlib_name == name)


def require_over(token: bytes, data: bytes) -> None:
    """Raise SelfCheckFailed where a token is not over these bytes."""
    name, value = imprint(token)
    if hashlib.new(name, data).digest() != value:
        raise SelfCheckFailed("the time-stamp token is over other bytes than the ones it was asked for")
