"""Associated signature containers ASiC-S and ASiC-E (EN 319 162-1, -2), and OpenDocument files signed alike.

Each signature file is read by its own format; what is added here is the container: that a signature is over the
members as they lie there, over all of them, and that nothing lies there which no signature covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SubIndication,
)
from services.verifier.formats import asic_manifest, asic_signatures, asic_stamps, zip_records
from services.verifier.formats.asic_container import Container, Kind
from services.verifier.formats.asic_manifest import Manifest
from services.verifier.formats.asic_signatures import Placed
from services.verifier.formats.asic_stamps import Stamp
from services.verifier.formats.xml_input import XmlError
from services.verifier.formats.zip_members import Archive
from services.verifier.formats.zip_records import ZipEncrypted, ZipError, ZipLimit
from services.verifier.ports import Content, Fault, Findings, FoundSignature, SubmittedDocument

MAX_FILES = 500
"""Signature files, manifests and tokens of a container, each."""

_OFFICE_PART = "[Content_Types].xml"
"""What every file of Office Open XML has."""


class AsicFormat:
    """Finds the signatures and time-stamps of a container. Evidence records in it are named and not judged."""

    name = "ASiC"

    def recognises(self, data: bytes) -> bool:
        """A ZIP file, whatever it holds."""
        return zip_records.looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each signature in each signature file, and one for each time-stamp token."""
        try:
            container = Container.of(Archive.of(document.data))
            return _found(container)
        except ZipEncrypted as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_ENCRYPTED, str(error)))
        except ZipLimit as error:
            return Findings(self.name, obstacle=Notice(Code.LIMIT_REACHED, str(error)))
        except ZipError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))


def _found(container: Container) -> Findings:
    name = container.kind.value
    signed = (container.xml_signatures, container.cms_signatures, container.misplaced_signatures)
    if any(len(names) > MAX_FILES for names in (*signed, container.tokens, container.manifests)):
        raise ZipLimit(f"a container with more than {MAX_FILES} files of one kind in META-INF")
    if container.signed_otherwise and not (container.xml_signatures or container.cms_signatures):
        detail = "a ZIP file that is signed in another way than ASiC containers are"
        return Findings(name, obstacle=Notice(Code.FORMAT_UNSUPPORTED, detail))
    for each in container.archive.members:
        # Also what is of no use here: a member that cannot be inflated is damage, or somebody's trick.
        container.archive.content(each)
    manifests = _manifests(container)
    placed: list[Placed] = []
    for file in (*container.xml_signatures, *asic_signatures.misplaced(container)):
        placed += _named(asic_signatures.of_xml(container, file))
    for file in container.cms_signatures:
        placed += _named(asic_signatures.of_cms(container, file, manifests))
    stamps = asic_stamps.of(container, manifests, placed)
    finished = asic_stamps.protected(placed, stamps)
    reach = _reach(placed)
    files = [one.file for one in placed]
    used = {m for one in placed for m in one.through} | {s.manifest.name for s in stamps if s.manifest}
    strays = (*container.strangers, *(m for m in container.manifests if m not in used))
    signatures = [
        _in_container(
            container,
            found,
            one,
            [*_uncovered(container, reach, files, index), *_strays(reach[index], strays)],
            _form_fault(container, one, stamps),
        )
        for index, (found, one) in enumerate(zip(finished, placed, strict=True))
    ]
    signatures += [_stray_bytes(container, asic_stamps.as_signature(one, container)) for one in stamps]
    contents = _contents(container, signatures, reach)
    wrapping = _is_wrapping(container, placed, strays)
    return Findings(name, signatures, contents=contents, stamps_apart=True, content_speaks=wrapping)


def _contents(
    container: Container, signatures: Sequence[FoundSignature], reach: Sequence[frozenset[str]]
) -> list[Content]:
    """The data objects. Of an office document the parts are none: the document is the file."""
    office = container.kind is Kind.OTHER and _OFFICE_PART in container.archive.members
    if office or container.kind is Kind.OPEN_DOCUMENT:
        return []
    signed_by: dict[str, list[str]] = {}
    for found, covered in zip(signatures, reach, strict=False):
        for member in covered:
            signed_by.setdefault(member, []).append(found.name)
    return [
        Content(each, container.archive.content(each), tuple(signed_by.get(each, ())))
        for each in container.objects
    ]


def _is_wrapping(container: Container, placed: Sequence[Placed], strays: Sequence[str]) -> bool:
    """ASiC-S with nothing but a time-stamp, as archives put it round a document that is signed itself."""
    alone = container.kind is Kind.ASIC_S and len(container.objects) == 1 and bool(container.tokens)
    return alone and not (placed or strays or container.archive.unowned)


def _manifests(container: Container) -> list[Manifest]:
    """Those that can be read; one that cannot leaves its signature without, which is said there."""
    found = []
    for name in container.manifests:
        try:
            found.append(asic_manifest.read(container.archive, name))
        except XmlError:
            continue
    return found


def _named(placed: Sequence[Placed]) -> list[Placed]:
    """Signatures are called by their file, and where it holds several by their place in it."""
    several = len(placed) > 1
    return [
        replace(one, found=replace(one.found, name=f"{one.file}#{number}" if several else one.file))
        for number, one in enumerate(placed, 1)
    ]


def _reach(placed: Sequence[Placed]) -> list[frozenset[str]]:
    """What each signature is over, also by way of other signature files that it is over."""
    by_file: dict[str, set[str]] = {}
    for one in placed:
        by_file.setdefault(one.file, set()).update(one.covered | one.countersigned)
    found = []
    for one in placed:
        reached: set[str] = set()
        pending = list(one.covered | one.countersigned)
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending.extend(by_file.get(name, ()))
        found.append(frozenset(reached))
    return found


def _uncovered(
    container: Container, reach: Sequence[frozenset[str]], files: Sequence[str], index: int
) -> list[Notice]:
    """What is said of the data objects that a signature is not over, by whether somebody else answers for all.

    A signature over those, over all that this one is over, and over this one itself (a counter-signature) makes one
    whole of both. Without the last, the objects came later, and somebody signed them all. Else they are anybody's.
    """
    own = reach[index]
    left = frozenset(container.objects) - own
    if not left:
        return []
    own_objects = own & frozenset(container.objects)
    wider = [other for other in reach if other >= own_objects | left]
    detail = f"not covered by this signature: {asic_stamps.listed(left)}"
    if any(files[index] in other for other in wider) or (wider and _is_of_macros(container, files[index])):
        return [Notice(Code.PARTLY_SIGNED, detail)]
    return [Notice(Code.DOC_EXTENDED if wider else Code.NOT_ALL_SIGNED, detail)]


def _is_of_macros(container: Container, file: str) -> bool:
    """OpenDocument 1.2 part 3, section 4: a signature file of its own for the macros, and over nothing else."""
    return container.kind is Kind.OPEN_DOCUMENT and file == "META-INF/macrosignatures.xml"


def _strays(reached: frozenset[str], strays: Iterable[str]) -> list[Notice]:
    """Files in META-INF that are none of the standard's, or are a manifest of nothing.

    A signature file that lies elsewhere than the standard has it is one of them, for itself too.
    """
    foreign = frozenset(strays) - reached
    if not foreign:
        return []
    return [Notice(Code.NOT_ALL_SIGNED, f"of no signature and no use: {asic_stamps.listed(foreign)}")]


def _in_container(
    container: Container, found: FoundSignature, placed: Placed, more: Sequence[Notice], form: Fault | None
) -> FoundSignature:
    """What the container makes of a signature that its own format has read; `form` is what is wrong with itself."""
    found = _stray_bytes(container, found)
    if placed.counter:
        return found
    records = [
        Notice(Code.TS_NOT_CHECKED, f"the evidence record {record[:80]} is not judged")
        for record in container.evidence_records
    ]
    intact = Notice(Code.DOC_INTACT, asic_stamps.listed(placed.covered & frozenset(container.objects)))
    kept = [one for one in found.notices if one.code is not Code.DOC_INTACT]
    kept += [intact] if len(kept) < len(found.notices) and not more else []
    sizes = {name: container.archive.members[name].entry.size for name in container.objects}
    covered = sum(size for name, size in sizes.items() if name in placed.covered)
    kind = Coverage.WHOLE if covered == sum(sizes.values()) and not more else Coverage.PARTIAL
    coverage = found.coverage
    if coverage.coverage is not Coverage.UNKNOWN:
        coverage = CoverageReport(kind, covered, sum(sizes.values()))
    fault = found.fault
    if fault is None or (len(container.objects) > 1 and fault.indication is Indication.INDETERMINATE):
        # That it cannot be said which file a signature is over comes from there being too many.
        fault = form or fault
    return replace(found, notices=(*kept, *more, *records), coverage=coverage, fault=fault)


def _form_fault(container: Container, placed: Placed, stamps: Sequence[Stamp]) -> Fault | None:
    """Containers that do not say what they are, and more than one file or form of proof in ASiC-S (clause 4.3.3).

    Without a media type a container is taken for what it holds. A signature by a policy of its own is not: what the
    policy demands of the container is not known here, and no policy does with less than the standard.
    """
    count, files = len(container.objects), (*container.xml_signatures, *container.cms_signatures)
    if container.kind is Kind.ASIC_S and (count > 1 or any("/" in name for name in container.objects)):
        detail = f"an ASiC-S container has one file in its root, this one has {count} in all"
        sub = Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE
    elif container.kind is Kind.ASIC_S and len(files) > 1:
        detail = f"an ASiC-S container has one signature file, this one has {len(files)}"
        sub = Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE
    elif container.kind is Kind.ASIC_S and any(one.manifest is None for one in stamps):
        detail = "an ASiC-S container has a signature or a time-stamp over its file, this one has both"
        sub = Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE
    elif placed.bound and not container.declared:
        detail = "a signature with a policy, in a container that does not say by its media type what it is"
        sub = Indication.INDETERMINATE, SubIndication.SIG_CONSTRAINTS_FAILURE
    elif not container.objects:
        detail = "the container holds no file that could be signed"
        sub = Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE
    else:
        return None
    return Fault(*sub, detail, (Notice(Code.DOC_MALFORMED, detail),))


def _stray_bytes(container: Container, found: FoundSignature) -> FoundSignature:
    """Octets of the file that belong to no member: another reader may see another container."""
    spans = container.archive.unowned
    if not spans:
        return found
    detail = f"bytes {spans[0][0]} to {spans[0][1]} of the container belong to no member"
    return replace(found, notices=(*found.notices, Notice(Code.UNOWNED_BYTES, detail)))
