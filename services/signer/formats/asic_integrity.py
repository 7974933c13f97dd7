"""Whether the signatures in an ASiC container that came are over what the container holds now.

Nothing is added to one that was changed: neither a level nor a signature more would help it. Whether anybody trusts
the certificates is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kernel.errors import DocumentDamaged, DomainError
from services.signer.formats import asic_manifest, cms_values, xml_check
from services.signer.formats.asic_container import documents, is_xml
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.signer.formats.xml_document import parse
from services.signer.formats.xml_references import References, is_outside, references, signatures

if TYPE_CHECKING:
    from lxml import etree

    from services.signer.formats.asic_container import Container
    from services.signer.formats.format import Document


def require_intact(container: Container) -> None:
    """Refuse a container with other contents than its signatures are over, or with a value that does not verify.

    Raises DocumentDamaged.
    """
    contents = documents(container, container.contents)
    _require_manifests(container, {file.name: file for file in contents})
    for name in container.signatures:
        data = container.get(name)
        if is_xml(name):
            read = References(data, parse(data), contents)
            for signature in signatures(read.root):
                if not all(_intact(read, reference) for reference in references(signature)):
                    raise _not_signed(name)
                xml_check.require_value(signature)
            continue
        container_data = SignedData.read(data)
        covered = _covered(container, name)
        for info in map(SignerInfo.read, container_data.signers):
            for each in covered:
                cms_values.require_digest(info, each)
            cms_values.require_valid(container_data, info)


def _require_manifests(container: Container, contents: dict[str, Document]) -> None:
    for name in container.manifests if container.kind == "ASIC_E" else ():
        for entry in asic_manifest.read(container.get(name)).entries:
            # What lies in META-INF may have been extended since; contents may not.
            file = contents.get(entry.name)
            if entry.name not in container.members:
                raise _not_signed(name)
            if file is not None and file.hash(entry.algorithm).digest() != entry.digest:
                raise _not_signed(name)


def _covered(container: Container, name: str) -> list[bytes]:
    """Return what a CMS signature file has to be over: the content, or each manifest that names it."""
    if container.kind == "ASIC_S":
        return [container.get(container.contents[0])]
    written = map(container.get, container.manifests)
    found = [manifest for manifest in written if asic_manifest.read(manifest).signature == name]
    if not found:
        raise DocumentDamaged(
            f"no manifest in the container names the signature {name[:80]!r}", reason="manifest"
        )
    return found


def _intact(read: References, reference: etree._Element) -> bool:
    if is_outside(reference):
        return bool(read.intact(reference))
    try:
        return bool(read.intact(reference))
    except DomainError:
        # Another's signature may refer to parts of itself in a way that is not followed here.
        return True


def _not_signed(name: str) -> DocumentDamaged:
    return DocumentDamaged(
        f"the contents of the container are not those that {name[:80]!r} is over", reason="digest"
    )
