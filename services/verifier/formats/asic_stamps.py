"""Time-stamp tokens that are members of a container (EN 319 162-1 clauses 4.3.3.2 and 4.4.3.4, annexes A.4 and A.7).

A token is over the one data object of ASiC-S, or over a manifest and by it over all that the manifest lists: data
objects, signature files, earlier tokens. For the signatures in those files it is an archive time-stamp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SignatureKind,
    SubIndication,
    TimeSource,
)
from services.verifier.formats import cms, cms_stamps
from services.verifier.formats.asic_container import Container, Kind
from services.verifier.formats.asic_manifest import Manifest
from services.verifier.formats.asic_signatures import Placed
from services.verifier.formats.ber import BerError
from services.verifier.ports import Fault, FoundSignature, FoundTimeStamp

MAX_PROTECTING = 50
"""Tokens that are looked at for one signature: the first and the last of those that are over its file."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token with the members that it is over; `message` is None where it cannot be read."""

    file: str
    found: FoundTimeStamp
    covered: frozenset[str] = frozenset()
    manifest: Manifest | None = None
    fault: Fault | None = None


def of(container: Container, manifests: Sequence[Manifest], placed: Sequence[Placed]) -> list[Stamp]:
    """Every token of the container. Raises ZipError."""
    values = _Values(container, placed)
    return [_stamp(container, name, manifests, values) for name in container.tokens]


def protected(placed: Sequence[Placed], stamps: Sequence[Stamp]) -> list[FoundSignature]:
    """The signatures, each with the tokens that are over its file beside its own."""
    finished = []
    for one in placed:
        later = [stamp.found for stamp in stamps if one.file in stamp.covered]
        if len(later) > MAX_PROTECTING:
            later = later[: MAX_PROTECTING // 2] + later[-MAX_PROTECTING // 2 :]
        found = one.found
        finished.append(replace(found, time_stamps=(*found.time_stamps, *later)) if later else found)
    return finished


def as_signature(stamp: Stamp, container: Container) -> FoundSignature:
    """A token as a signature of its own, as document time-stamps are."""
    token = stamp.found.token
    try:
        message, rest = cms.parse(token)
        if rest or len(message.signers) != 1 or message.content is None:
            raise BerError("the time-stamp is no token with one signer")
        signer = message.signers[0]
        if isinstance(signer, BerError):
            raise signer
        info = cms.timestamp_info(message.content)
        fault = stamp.fault or _imprint_fault(stamp.found, info)
    except BerError as error:
        failed = _failed(str(error))
        return FoundSignature(
            stamp.file,
            "RFC 3161",
            CoverageReport(Coverage.UNKNOWN),
            SignatureKind.DOCUMENT_TIMESTAMP,
            fault=failed,
        )
    content = message.content
    whole = stamp.covered >= frozenset(container.objects)
    return FoundSignature(
        name=stamp.file,
        format="RFC 3161",
        coverage=CoverageReport(Coverage.WHOLE if whole else Coverage.PARTIAL),
        kind=SignatureKind.DOCUMENT_TIMESTAMP,
        signer=signer,
        content_type=message.content_type,
        digest=lambda label: algorithms.digest(label, content),
        certificates=message.certificates,
        crls=message.crls,
        ocsps=message.ocsps,
        own_stamp=stamp.found,
        claimed_time=info.time,
        notices=(Notice(Code.DOC_INTACT, f"over {listed(stamp.covered)}"),),
        fault=fault,
    )


class _Values:
    """SHA-256 of what members hold that a token over them proves to be as old as itself."""

    def __init__(self, container: Container, placed: Sequence[Placed]) -> None:
        self._container = container
        self._placed: dict[str, list[FoundSignature]] = {}
        for one in placed:
            self._placed.setdefault(one.file, []).append(one.found)
        self._known: dict[str, frozenset[bytes]] = {}

    def of(self, names: Iterable[str]) -> frozenset[bytes]:
        return frozenset().union(*(self._of(name) for name in names))

    def _of(self, name: str) -> frozenset[bytes]:
        if name not in self._known:
            self._known[name] = frozenset(self._found(name))
        return self._known[name]

    def _found(self, name: str) -> set[bytes]:
        container = self._container
        values = {container.archive.digest("SHA-256", name)}
        if name in container.tokens:
            values |= _inside(container.archive.content(name))
        for found in self._placed.get(name, ()):
            values |= {
                hashlib.sha256(one).digest() for one in (*found.certificates, *found.crls, *found.ocsps)
            }
            for stamp in found.time_stamps:
                values.add(hashlib.sha256(stamp.token).digest())
                values |= _inside(stamp.token)
        return values


def _inside(token: bytes) -> set[bytes]:
    try:
        return cms_stamps.values_of(cms.parse(token)[0])
    except BerError:
        return set()


def _stamp(container: Container, name: str, manifests: Sequence[Manifest], values: _Values) -> Stamp:
    archive = container.archive
    token = archive.content(name)
    manifest = next((one for one in manifests if archive.resolve(one.target) == name), None)
    if manifest is not None:
        covered, content = manifest.covered, manifest.data
        kind = TimeSource.DOCUMENT if covered <= frozenset(container.objects) else TimeSource.ARCHIVE
    elif container.kind is Kind.ASIC_S and len(container.objects) == 1:
        covered, content = frozenset(container.objects), archive.content(container.objects[0])
        kind = TimeSource.DOCUMENT
    else:
        fault = _failed(f"no manifest that can be read names {name}")
        return Stamp(name, FoundTimeStamp(TimeSource.ARCHIVE, token, fault=fault.detail), fault=fault)
    wrong = _manifest_fault(manifest)
    found = FoundTimeStamp(
        kind,
        token,
        _digest_of(content),
        values.of(covered) if wrong is None else frozenset(),
        fault=wrong.detail if wrong is not None else "",
    )
    return Stamp(name, found, covered if wrong is None else frozenset(), manifest, wrong)


def _digest_of(content: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, content)


def _manifest_fault(manifest: Manifest | None) -> Fault | None:
    if manifest is None:
        return None
    if manifest.unsupported:
        return Fault(Indication.INDETERMINATE, SubIndication.GENERIC, manifest.unsupported)
    if not (manifest.broken or manifest.missing):
        return None
    uri = (*manifest.broken, *manifest.missing)[0]
    detail = f'"{uri[:80]}" is not what {manifest.name} has of it'
    return Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail)


def _imprint_fault(found: FoundTimeStamp, info: cms.TimestampInfo) -> Fault | None:
    """RFC 3161 2.4.2: the token has to be over what it stands with."""
    if found.imprint is None:
        return None
    try:
        actual = found.imprint(algorithms.digest_label(info.digest_oid))
    except AlgorithmError as error:
        return _failed(str(error))
    if actual == info.digest:
        return None
    detail = "the digest in the time-stamp is not that of what it stands with"
    return Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail)


def _failed(detail: str) -> Fault:
    notice = Notice(Code.DOC_MALFORMED, detail)
    return Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, (notice,))


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names for people: the first few, and how many more."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(f'"{name[:80]}"' for name in ordered[:most]) + more
