"""What foreign tools say about a signed PDF file at any level: pyHanko's AdES validators, openssl, pdfsig."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from asn1crypto import cms as reader
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation import ades
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import NO_REVOCATION, REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from tests.support.document_signers import (
    authority,
    openssl_cms_verify,
    pdf_signature_parts,
    pdfsig,
    signed,
    signer,
)
from tests.support.stamping import imprint, openssl_ts_verify, raise_to

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

    from services.signer.formats.parameters import Level


@dataclass(frozen=True)
class PdfVerdict:
    """What pyHanko says of one signature."""

    field: str
    indication: str
    changes: ModificationLevel
    docmdp_ok: bool | None


def sign_at(level: Level, data: bytes, **options: Any) -> bytes:
    """Sign by the format's own steps up to a level; return the whole file."""
    from services.signer.formats.format import Document, Signed
    from services.signer.formats.pades import PadesBaseline

    form, who = PadesBaseline(), signer()
    addition = signed(form, data, who, who.parameters(level=level, **options))
    return data + raise_to(form, Signed(Document.of(data), addition), level)


def extend_to(level: Level, data: bytes) -> bytes:
    """Raise a file signed before to a level; return the whole file."""
    from services.signer.formats.format import Document, Signed
    from services.signer.formats.pades import PadesBaseline

    return data + raise_to(PadesBaseline(), Signed(Document.of(data)), level)


def opened(data: bytes) -> PdfFileReader:
    """Open by pyHanko's reader, in the mode that takes hybrid files too."""
    return PdfFileReader(BytesIO(data), strict=False)


def specification(*, revocation: bool) -> PdfSignatureValidationSpec:
    """Trust the tests' CA and the network not at all."""
    anchor = x509.Certificate.load(authority()[1].public_bytes(Encoding.DER))
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=[anchor]),
        revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO if revocation else NO_REVOCATION),
    )
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=policy,
            revinfo_gathering_policy=RevocationInfoGatheringSpec(
                online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY
            ),
        )
    )


async def lta_verdicts(data: bytes) -> list[PdfVerdict]:
    """Judge each signature by EN 319 102-1 section 5.6.3, with revocation values from the file alone."""
    verdicts = []
    for signature in opened(data).embedded_regular_signatures:
        result = await ades.ades_lta_validation(signature, specification(revocation=True))
        verdicts.append(_verdict(signature, result.ades_subindic))
    return verdicts


async def time_verdicts(data: bytes, *, revocation: bool) -> list[PdfVerdict]:
    """Judge each signature by EN 319 102-1 section 5.5; revocation values come from the file's store where wanted."""
    verdicts = []
    document = opened(data)
    for signature in document.embedded_regular_signatures:
        spec = specification(revocation=revocation).signature_validation_spec
        if revocation:
            spec = _with_store(spec, document)
        signature.compute_integrity_info()
        result = await ades.ades_with_time_validation(
            signature.signed_data, spec, raw_digest=signature.compute_digest()
        )
        verdicts.append(_verdict(signature, result.ades_subindic))
    return verdicts


async def basic_verdicts(data: bytes) -> list[PdfVerdict]:
    """Judge each signature by EN 319 102-1 section 5.3, without revocation."""
    verdicts = []
    for signature in opened(data).embedded_regular_signatures:
        spec = specification(revocation=False).signature_validation_spec
        signature.compute_integrity_info()
        result = await ades.ades_basic_validation(
            signature.signed_data, spec, raw_digest=signature.compute_digest()
        )
        verdicts.append(_verdict(signature, result.ades_subindic))
    return verdicts


def _with_store(spec: SignatureValidationSpec, document: PdfFileReader) -> SignatureValidationSpec:
    from dataclasses import replace

    from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

    store = DocumentSecurityStore.read_dss(document)
    ocsps = [
        container
        for reference in store.ocsps
        for container in OCSPContainer.load_multi(_ocsp(reference.get_object().data))
    ]
    crls = [CRLContainer(_crl(reference.get_object().data)) for reference in store.crls]
    return replace(spec, local_knowledge=LocalKnowledge(known_ocsps=ocsps, known_crls=crls))


def _ocsp(der: bytes) -> Any:
    from asn1crypto import ocsp

    return ocsp.OCSPResponse.load(der)


def _crl(der: bytes) -> Any:
    from asn1crypto import crl

    return crl.CertificateList.load(der)


def _verdict(signature: EmbeddedPdfSignature, indication: Any) -> PdfVerdict:
    summary = signature.summarise_integrity_info()
    found = summary["diff_result"]
    changes = ModificationLevel.NONE if found is None else ModificationLevel.OTHER
    if isinstance(found, DiffResult):
        changes = found.modification_level
    return PdfVerdict(str(signature.field_name), str(indication), changes, summary["docmdp_ok"])


def assert_pdfsig(folder: Path, data: bytes, count: int) -> None:
    """Let poppler judge the signatures; document time-stamps it only names."""
    path = folder / "signed.pdf"
    path.write_bytes(data)
    found = pdfsig(path)
    verdicts = [entry["Signature Validation"] for entry in found if entry["Signature Type"] != "unknown"]
    assert verdicts == ["Signature is Valid."] * count
    assert [entry["whole"] for entry in found[:-1]] == ["False"] * (len(found) - 1)


def assert_openssl(folder: Path, data: bytes) -> int:
    """Let openssl judge every CMS and every token over bytes that are cut out here; return how many tokens it saw."""
    tokens = 0
    for index, _ in enumerate(re.finditer(rb"/ByteRange\s*\[\s*0 \d+ \d+ \d+\s*\]", data)):
        container, covered = pdf_signature_parts(data, index)
        content = reader.ContentInfo.load(container, strict=True)["content"]
        if content["encap_content_info"]["content_type"].native == "tst_info":
            # ISO 32000-2 12.8.5: the imprint is of the bytes that the byte range names.
            assert openssl_ts_verify(folder, container, imprint(covered)) == ""
            tokens += 1
            continue
        assert openssl_cms_verify(folder, container, covered) == ""
        info = content["signer_infos"][0]
        for attribute in info["unsigned_attrs"].native or ():
            assert attribute["type"] == "signature_time_stamp_token"
        for attribute in info["unsigned_attrs"] if info["unsigned_attrs"].native else ():
            # EN 319 122-1 section 5.3 and RFC 3161 appendix A: of the value of the signature field, tag and length off.
            stamp = attribute["values"][0].dump()
            assert openssl_ts_verify(folder, stamp, imprint(info["signature"].native)) == ""
            tokens += 1
    return tokens
