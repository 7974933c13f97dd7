"""CAdES by the letter of EN 319 122-1, with asn1crypto and openssl alone: what our containers are measured against."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from asn1crypto import cms, core, ocsp, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.ades.report import AdESSubIndic
from pyhanko.sign.validation.ades import ades_with_time_validation
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import NO_REVOCATION, REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from tests.support.document_signers import TestSigner, authority

if TYPE_CHECKING:
    from pathlib import Path

ESS = tsp.SigningCertificateV2
"""Loading the module teaches the reader RFC 5035."""
SIGNATURE_TIME_STAMP = "1.2.840.113549.1.9.16.2.14"
ARCHIVE_TIME_STAMP_V3 = "0.4.0.1733.2.4"
HASH_INDEX_V3 = "0.4.0.19122.1.5"


class HashIndexV3(core.Sequence):  # type: ignore[misc]
    """ATSHashIndexV3 of section 5.5.2."""

    _fields: ClassVar[list[Any]] = [
        ("algorithm", cms.DigestAlgorithm),
        ("certificates", core.SequenceOf, {"spec": core.OctetString}),
        ("crls", core.SequenceOf, {"spec": core.OctetString}),
        ("values", core.SequenceOf, {"spec": core.OctetString}),
    ]


@dataclass(frozen=True)
class ArchiveStamp:
    """An archive time-stamp of a container, and what its imprint must be by sections 5.5.2 and 5.5.3."""

    token: bytes
    imprint: bytes
    covered: bool
    """Every entry of the hash index is of something in the container."""
    complete: bool
    """Everything in the container but archive time-stamps is in the hash index."""


def signed_data(container: bytes) -> cms.SignedData:
    """Read a container strictly: nothing may follow it."""
    info = cms.ContentInfo.load(container, strict=True)
    assert info["content_type"].native == "signed_data"
    return info["content"]


def unsigned_values(signer: cms.SignerInfo, oid: str) -> list[core.Asn1Value]:
    """Return the values of a signer's unsigned attributes of a type."""
    attributes = signer["unsigned_attrs"]
    if not isinstance(attributes, cms.CMSAttributes):
        return []
    return [value for each in attributes if each["type"].dotted == oid for value in each["values"]]


def time_stamps(container: bytes, signer: int = 0) -> list[tuple[bytes, bytes]]:
    """Return each signature time-stamp of a signer with the bytes that it must be over (section 5.3)."""
    info = signed_data(container)["signer_infos"][signer]
    value = info["signature"].native
    return [(token.dump(), value) for token in unsigned_values(info, SIGNATURE_TIME_STAMP)]


def archive_stamps(container: bytes, content: bytes, signer: int = 0) -> list[ArchiveStamp]:
    """Return a signer's archive time-stamps, each with its imprint computed from the container and the content."""
    data = signed_data(container)
    info = data["signer_infos"][signer]
    return [
        _archive_stamp(data, info, token.dump(), content)
        for token in unsigned_values(info, ARCHIVE_TIME_STAMP_V3)
    ]


def _archive_stamp(data: cms.SignedData, info: cms.SignerInfo, token: bytes, content: bytes) -> ArchiveStamp:
    stamp = signed_data(token)
    (raw,) = unsigned_values(stamp["signer_infos"][0], HASH_INDEX_V3)
    index = HashIndexV3.load(raw.dump(), strict=True)
    algorithm = index["algorithm"]["algorithm"].native
    imprint = stamp["encap_content_info"]["content"].parsed["message_imprint"]
    assert imprint["hash_algorithm"]["algorithm"].native == algorithm

    def digest(value: bytes) -> bytes:
        return hashlib.new(algorithm, value).digest()

    certificates = {digest(choice.dump()) for choice in data["certificates"]}
    crls = {digest(choice.dump()) for choice in data["crls"]}
    values = {
        digest(each["type"].dump() + value.dump()): each["type"].dotted
        for each in info["unsigned_attrs"]
        for value in each["values"]
    }
    listed = [{entry.native for entry in index[name]} for name in ("certificates", "crls", "values")]
    others = {value for value, kind in values.items() if kind != ARCHIVE_TIME_STAMP_V3}
    steps = [data["encap_content_info"]["content_type"].dump(), digest(content)]
    fields = ("version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature")
    steps += [info[name].dump() for name in fields]
    return ArchiveStamp(
        token=token,
        imprint=digest(b"".join((*steps, raw.dump()))),
        covered=listed[0] <= certificates and listed[1] <= crls and listed[2] <= set(values),
        complete=listed[0] == certificates and listed[1] == crls and listed[2] >= others,
    )


async def verdict(container: bytes, content: bytes, *, revocation: bool) -> AdESSubIndic:
    """Let pyHanko judge a signature with time (EN 319 102-1 section 5.5), by what is in the container alone."""
    data = signed_data(container)
    anchor = asn1_x509.Certificate.load(authority()[1].public_bytes(Encoding.DER))
    known = LocalKnowledge(
        known_certs=[choice.chosen for choice in data["certificates"]],
        known_crls=[CRLContainer(each.chosen) for each in data["crls"] or () if each.name == "crl"],
        known_ocsps=[
            container
            for each in data["crls"] or ()
            if each.name == "other"
            for container in OCSPContainer.load_multi(
                ocsp.OCSPResponse.load(each.chosen["other_rev_info"].dump())
            )
        ],
    )
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=[anchor]),
        revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO if revocation else NO_REVOCATION),
    )
    spec = SignatureValidationSpec(
        cert_validation_policy=policy,
        revinfo_gathering_policy=RevocationInfoGatheringSpec(
            online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY
        ),
        local_knowledge=known,
    )
    algorithm = data["signer_infos"][0]["digest_algorithm"]["algorithm"].native
    detached = data["encap_content_info"]["content"].native is None
    result = await ades_with_time_validation(
        data, spec, raw_digest=hashlib.new(algorithm, content).digest() if detached else None
    )
    return result.ades_subindic


def openssl_sign(folder: Path, who: TestSigner, content: bytes, *options: str) -> bytes:
    """Let openssl sign, as any other program would."""
    chain, key, data = folder / "signer.pem", folder / "signer.key", folder / "to-sign.bin"
    chain.write_bytes(asn1_to_pem(who.chain[0]))
    key.write_bytes(who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    data.write_bytes(content)
    command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-signer", str(chain)]
    command += ["-inkey", str(key), "-in", str(data), *options]
    return subprocess.run(command, capture_output=True, check=True).stdout


def asn1_to_pem(certificate: bytes) -> bytes:
    """Wrap a certificate."""
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)


def openssl_verify(folder: Path, container: bytes, content: bytes | None, *options: str) -> tuple[str, bytes]:
    """Let openssl verify every signer; `content` is None where it is inside. Returns complaint and content."""
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    (folder / "container.p7s").write_bytes(container)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"]
    command += ["-in", str(folder / "container.p7s"), "-CAfile", str(folder / "ca.pem")]
    if content is not None:
        (folder / "content.bin").write_bytes(content)
        command += ["-content", str(folder / "content.bin")]
    command += ["-out", str(folder / "found.bin"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr or "failed", b""
    return "", (folder / "found.bin").read_bytes()
