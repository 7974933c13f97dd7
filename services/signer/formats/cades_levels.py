"""CAdES above B-B (EN 319 122-1 section 6.3): signature time-stamps, validation data, archive time-stamps.

What is there is read from the container every time, so each step may run in another process. Every signer that is to
be raised gets time-stamps of its own; certificates and revocation values are the container's.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.kernel.errors import (
    DocumentDamaged,
    DocumentLocked,
    DomainError,
    EvidenceUnavailable,
    FieldInvalid,
)
from services.signer.formats import ber, cades_archive, cms_evidence, cms_values
from services.signer.formats.cms_container import SignedData, SignerInfo, read_container
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import EvidenceNeeded, Role, TimeStampNeeded
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Document, Evidence, Need, Signed

SIGNATURE_TIME_STAMP = ber.oid("1.2.840.113549.1.9.16.2.14")
ARCHIVE_TIME_STAMP_V3 = ber.oid("0.4.0.1733.2.4")
_OLDER_ARCHIVE_FORMS = tuple(
    ber.oid(dotted)
    for dotted in (
        "1.2.840.113549.1.9.16.2.27",  # archive-time-stamp
        "1.2.840.113549.1.9.16.2.48",  # archive-time-stamp-v2
        "0.4.0.1733.2.2",  # long-term-validation
    )
)
_SIGNATURE, _ARCHIVE = 1, 2
_STATE = struct.Struct(">BI")
"""Kind of time-stamp, position of the signer; for an archive time-stamp the hash index follows."""


@dataclass(frozen=True, slots=True)
class _Target:
    """One signer that is to be raised."""

    index: int
    info: SignerInfo

    def tokens(self, kind: bytes) -> list[bytes]:
        """Return the signer's time-stamp tokens of a kind."""
        found = self.info.attributes(kind, signed=False)
        return [value for each in found for value in each.values]


def next_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Say what must be had next; see `SignatureFormat.next_need`.

    A container that has archive time-stamps already gets new ones: that is how they are renewed before their
    algorithms or keys grow weak. Raises DocumentDamaged, DocumentLocked, FieldInvalid, EvidenceUnavailable.
    """
    if level is Level.B_B:
        return None
    data = SignedData.read(current(signed))
    targets = _targets(signed, data)
    if not signed.addition:
        # What was signed here has been verified already; a level would only lend weight to what is broken.
        for target in targets:
            cms_values.require_valid(data, target.info)
    for target in targets:
        if not target.tokens(SIGNATURE_TIME_STAMP):
            state = _STATE.pack(_SIGNATURE, target.index)
            return TimeStampNeeded(digest.digest(target.info.signature_value), state)
    if not level.includes(Level.B_LT):
        return None
    unstamped = _unstamped(signed, targets) if level is Level.B_LTA else []
    wanted, found = _validated(data, targets, unstamped)
    if found.lacking(wanted) or not (found.has_whole_paths(wanted) or _had_evidence(signed, data)):
        return EvidenceNeeded(tuple(dict.fromkeys((*wanted, *found.certificates))))
    if not unstamped:
        return None
    target = unstamped[0]
    content = _content_digest(signed, data, target.info, digest)
    index = cades_archive.hash_index(data, target.info, digest)
    needed = cades_archive.imprint(data, target.info, content, index, digest)
    return TimeStampNeeded(needed, _STATE.pack(_ARCHIVE, target.index) + index)


def add_time_stamp(signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
    """Put in the token that `next_need` asked for and read it back."""
    data = SignedData.read(current(signed))
    kind, index = _STATE.unpack_from(need.state)
    info = SignerInfo.read(data.signers[index])
    if kind == _SIGNATURE:
        grown = data.with_signer(index, info.with_unsigned(SIGNATURE_TIME_STAMP, token))
    else:
        hash_index = need.state[_STATE.size :]
        stamp = SignedData.read(token)
        if len(stamp.signers) != 1:
            raise ber.damaged(
                f"the time-stamp token has {len(stamp.signers)} signers (RFC 3161 section 2.4.2)", 0
            )
        # Section 5.5.3: the token itself carries the index that its imprint covers.
        indexed = SignerInfo.read(stamp.signers[0]).with_unsigned(
            ber.oid(cades_archive.HASH_INDEX_V3), hash_index
        )
        token = stamp.with_signer(0, indexed).encode()
        grown = data.with_signer(index, info.with_unsigned(ARCHIVE_TIME_STAMP_V3, token))
        algorithm = ber.children(ber.whole(hash_index))[0].encoded
        grown = replace(grown, digest_algorithms=tuple(ber.extended(data.digest_algorithms, (algorithm,))))
    container = grown.encode()
    _check(signed, container, info, kind, token)
    return container


def add_evidence(signed: Signed, evidence: Evidence) -> bytes:
    """Put in certificates and revocation values. Raises EvidenceUnavailable where one is lacking still."""
    before = SignedData.read(current(signed))
    container = cms_evidence.with_evidence(before, evidence).encode()
    data = SignedData.read(container)
    if data.signers != before.signers or data.content_info != before.content_info:
        raise SelfCheckFailed("a signature changed while revocation values were put in")
    wanted, found = _validated(data, _targets(signed, data), [])
    cms_evidence.require_all(found.lacking(wanted))
    if data.crls == before.crls and not found.has_whole_paths(wanted):
        raise EvidenceUnavailable(
            "no certificates or revocation values were found but those that the container has",
            where="issuers",
        )
    return container


def require_extendable(data: SignedData) -> None:
    """Refuse containers whose sets of certificates must not change any more (EN 319 122-1 section 5.5.3)."""
    for info in map(SignerInfo.read, data.signers):
        if any(info.attributes(form, signed=False) for form in _OLDER_ARCHIVE_FORMS):
            raise DocumentLocked(
                "the container has an archive time-stamp of a form before EN 319 122-1: nothing may be added to it",
                reason="archive-time-stamp-v2",
            )


def current(signed: Signed) -> bytes:
    """Return the container as it is now."""
    return signed.addition or read_container(_original(signed.document))


def _original(document: Document) -> Document:
    """Find the file that is the container: the one said to be, else the first."""
    return next(iter(document.role_of(Role.SIGNATURE)), document)


def _targets(signed: Signed, data: SignedData) -> list[_Target]:
    """Return the signers to raise: of a container that was signed once more just now only the new ones."""
    require_extendable(data)
    everyone = [_Target(index, SignerInfo.read(signer)) for index, signer in enumerate(data.signers)]
    if not everyone:
        raise DocumentDamaged("the container has certificates and no signature", reason="signers")
    if not signed.addition or not signed.document.role_of(Role.SIGNATURE):
        return everyone
    before = set(_stamps_before(signed.document))
    return [target for target in everyone if target.info.core not in before] or everyone


def _unstamped(signed: Signed, targets: list[_Target]) -> list[_Target]:
    """Return the signers that have no more archive time-stamps than the caller's file had."""
    counts = {target.info.core: len(target.tokens(ARCHIVE_TIME_STAMP_V3)) for target in targets}
    if not any(counts.values()):
        return targets
    before = _stamps_before(signed.document) if signed.addition else Counter(counts)
    return [target for target in targets if counts[target.info.core] <= before[target.info.core]]


def _sent(document: Document) -> SignedData | None:
    """Read the container that the caller sent; None where the file is a content that was signed just now."""
    try:
        return SignedData.read(read_container(_original(document)))
    except DomainError:
        return None


def _stamps_before(document: Document) -> Counter[bytes]:
    """Count the archive time-stamps of each signer in the container that the caller sent."""
    data, counts = _sent(document), Counter[bytes]()
    for info in map(SignerInfo.read, data.signers if data is not None else ()):
        counts[info.core] = len(_Target(0, info).tokens(ARCHIVE_TIME_STAMP_V3))
    return counts


def _had_evidence(signed: Signed, data: SignedData) -> bool:
    """Say whether revocation values were put in since the caller sent the file: what there is was had then."""
    if not signed.addition:
        return False
    before = _sent(signed.document)
    return bool(set(data.crls) - set(before.crls if before is not None else ()))


def _validated(
    data: SignedData, targets: list[_Target], unstamped: list[_Target]
) -> tuple[tuple[bytes, ...], cms_evidence.Holder]:
    """Return the certificates that need a revocation value, and what there is.

    They are the signers' and those of the units that stamped them; a new archive time-stamp also protects the values
    of the archive time-stamps before it.
    """
    stamps = [token for target in targets for token in target.tokens(SIGNATURE_TIME_STAMP)]
    stamps += [token for target in unstamped for token in target.tokens(ARCHIVE_TIME_STAMP_V3)]
    tokens = [SignedData.read(stamp) for stamp in stamps]
    found = cms_evidence.holder(data, tokens)
    infos = [target.info for target in targets]
    infos += [SignerInfo.read(signer) for token in tokens for signer in token.signers]
    wanted = [found.certificate_of(info) for info in infos]
    if None in wanted:
        raise EvidenceUnavailable(
            "the certificate of a signer or of a time-stamp is not in the container", where="certificates"
        )
    return tuple(dict.fromkeys(each for each in wanted if each is not None)), found


def _content_digest(signed: Signed, data: SignedData, signer: SignerInfo, digest: DigestAlgorithm) -> bytes:
    """Hash what the signer signed, after making sure that it is what the signer signed."""
    algorithm = _digest_algorithm(signer)
    if algorithm is None:
        raise DocumentLocked(
            "the signature is by a digest algorithm that is no longer safe: it cannot be archived",
            reason="digest",
        )
    claimed = signer.message_digest
    if data.content is not None:
        if algorithm.digest(data.content) != claimed:
            raise DocumentDamaged("the content in the container is not what was signed", reason="digest")
        return digest.digest(data.content)
    original = _original(signed.document)
    files = [file for file in signed.document.files if file is not original or signed.addition]
    if signed.document.known_digest is not None:
        files = [signed.document]
    for file in files:
        if file.hash(algorithm).digest() == claimed:
            return claimed if algorithm is digest else file.hash(digest).digest()
    raise FieldInvalid(
        "the signature is detached: send the content that it is over as a part of its own", field="content"
    )


def _check(signed: Signed, container: bytes, before: SignerInfo, kind: int, token: bytes) -> None:
    """Compute the imprint anew from the finished bytes and compare it with the one that the token is over."""
    data = SignedData.read(container)
    found = [info for info in map(SignerInfo.read, data.signers) if info.core == before.core]
    attribute = SIGNATURE_TIME_STAMP if kind == _SIGNATURE else ARCHIVE_TIME_STAMP_V3
    tokens = [value for each in found[0].attributes(attribute, signed=False) for value in each.values]
    algorithm, stamped = token_imprint(token)
    if token not in tokens:
        raise SelfCheckFailed("the time-stamp token is not in the finished container")
    if kind == _SIGNATURE:
        if hashlib.new(algorithm.hashlib_name, found[0].signature_value).digest() != stamped:
            raise SelfCheckFailed("the time-stamp is not over the signature value")
        return
    own = SignerInfo.read(SignedData.read(token).signers[0])
    indexes = own.attributes(ber.oid(cades_archive.HASH_INDEX_V3), signed=False)
    if len(indexes) != 1 or cades_archive.check_index(indexes[0].values[0], data, found[0]) is not algorithm:
        raise SelfCheckFailed("the archive time-stamp has no hash index by its own algorithm")
    same = _digest_algorithm(found[0]) is algorithm
    content = found[0].message_digest if same else _content_digest(signed, data, found[0], algorithm)
    if cades_archive.imprint(data, found[0], content, indexes[0].values[0], algorithm) != stamped:
        raise SelfCheckFailed("the archive time-stamp is not over the finished signature")


def _digest_algorithm(signer: SignerInfo) -> DigestAlgorithm | None:
    return cades_archive.ALGORITHMS.get(ber.children(ber.whole(signer.digest_algorithm))[0].encoded)


def token_imprint(token: bytes) -> tuple[DigestAlgorithm, bytes]:
    """Return algorithm and value of a token's messageImprint (RFC 3161 section 2.4.2). Raises DocumentDamaged."""
    content = SignedData.read(token).content
    fields = ber.children(ber.whole(content or b""))
    parts = ber.children(fields[2]) if len(fields) > 2 else []
    if [part.tag for part in parts] != [ber.SEQUENCE, ber.OCTET_STRING]:
        raise ber.damaged("the time-stamp token holds no TSTInfo", 0)
    algorithm = cades_archive.ALGORITHMS.get(ber.children(parts[0])[0].encoded)
    if algorithm is None:
        raise ber.damaged("the time-stamp token is over an imprint by an unknown algorithm", parts[0].start)
    return algorithm, ber.octets(parts[1])
