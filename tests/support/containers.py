"""ASiC containers for tests: as the signer makes them, taken apart, and put together otherwise."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.formats.asic import Asic
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from services.verifier.formats.asic import AsicFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.verifier.domain import Code, DocumentReport, SubIndication

NOW = datetime.now(UTC)
FILES = {"to-trinh.txt": b"To trinh so 15", "phu-luc/bang 1.xml": b"<bang>1</bang>"}
KINDS = ["XADES", "CADES"]
FLAVOURS = [(form, kind) for form in ("ASIC_S", "ASIC_E") for kind in KINDS]


@cache
def made(form: str, kind: str, level: Level = Level.B_B, text: bytes = FILES["to-trinh.txt"]) -> bytes:
    """A container as the signer makes it; ASiC-S of the first file alone."""
    files = {**FILES, "to-trinh.txt": text}
    names = list(files)[:1] if form == "ASIC_S" else list(files)
    contents = tuple(
        Document(io.BytesIO(files[name]), len(files[name]), name=name, media_type="text/plain")
        for name in names
    )
    document = replace(contents[0], others=contents[1:])
    asic, who = Asic(form), signer()  # type: ignore[arg-type]
    parameters = who.parameters(form=form, asic_signature=kind, packaging="DETACHED", level=level)  # type: ignore[arg-type]
    prepared = asic.prepare(document, parameters)
    addition = asic.complete(
        document, parameters, prepared.state, who.sign(prepared.digest, parameters.algorithm)
    )
    return stamping.raise_to(asic, Signed(document, addition), level)


def cosigned(container: bytes, kind: str) -> bytes:
    """One more signature over all that is in an ASiC-E container now."""
    asic, who = Asic("ASIC_E"), signer()
    parameters = who.parameters(form="ASIC_E", asic_signature=kind, packaging="DETACHED")
    document = Document(io.BytesIO(container), len(container), role=Role.SIGNATURE)
    prepared = asic.prepare(document, parameters)
    return asic.complete(
        document, parameters, prepared.state, who.sign(prepared.digest, parameters.algorithm)
    )


def members(container: bytes) -> dict[str, bytes]:
    """What is in it, in order."""
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Mapping[str, bytes]) -> bytes:
    """A container of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@cache
def trust() -> TrustMaterial:
    """The CA of the test signers with a fresh list."""
    return TrustMaterial((authority()[1].public_bytes(Encoding.DER),), (), (stamping.crl(NOW),))


def verify(container: bytes) -> DocumentReport:
    """With trust."""
    return VerificationService((AsicFormat(),), trust()).verify(SubmittedDocument(container), NOW)


def subs(report: DocumentReport) -> list[SubIndication | None]:
    """Sub-indications of the signatures; None for those that passed."""
    return [signature.sub_indication for signature in report.signatures]


def codes(report: DocumentReport) -> set[Code]:
    """Codes of all notices of the signatures."""
    return {notice.code for signature in report.signatures for notice in signature.notices}


def signature_file(files: Mapping[str, bytes]) -> str:
    """Name of the signature file."""
    return next(name for name in files if name.startswith("META-INF/signature"))


def listing(target: str, files: Mapping[str, bytes]) -> bytes:
    """An ASiCManifest."""
    entries = "".join(
        f'<asic:DataObjectReference URI="{name}"><ds:DigestMethod '
        'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>'
        f"{base64.b64encode(hashlib.sha256(data).digest()).decode()}</ds:DigestValue></asic:DataObjectReference>"
        for name, data in files.items()
    )
    return (
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        f'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><asic:SigReference URI="{target}"/>{entries}'
        "</asic:ASiCManifest>"
    ).encode()
