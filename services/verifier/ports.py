"""What the verifier needs from outside, and what its readers of formats hand over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.algorithms import SignatureAlgorithm, default_policy
from services.verifier.domain import (
    CoverageReport,
    Indication,
    Notice,
    SignatureKind,
    SubIndication,
    TimeSource,
)
from services.verifier.formats.cms import SignerInfo
from services.verifier.x509.anchors import AnchorTerms, by_anchor
from services.verifier.x509.path_rules import LegacyLinks, PathRules


@dataclass(frozen=True, slots=True)
class TrustMaterial:
    """Certificates, CRLs and OCSP responses to judge by, all DER, and the rules that go with them.

    `sha1_links`: SHA-256, in lower-case hex, of CA certificates whose own SHA-1 signature is borne with a warning;
    `sha1_cutoff`: until when certificates that those signed with SHA-1 are borne too, and signatures and time-stamps
    over SHA-1 that are proved to have existed then (None: never). `terms`: of the anchors that are not trusted without
    limit.
    """

    anchors: tuple[bytes, ...] = ()
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    sha1_links: tuple[str, ...] = ()
    sha1_cutoff: datetime | None = None
    ocsps: tuple[bytes, ...] = ()
    terms: tuple[AnchorTerms, ...] = ()
    algorithms: AlgorithmPolicy = field(default_factory=default_policy)

    def rules(self) -> PathRules:
        """The rules for paths that go with the material."""
        legacy = LegacyLinks(frozenset(self.sha1_links), self.sha1_cutoff) if self.sha1_links else None
        policy = self.algorithms
        if self.sha1_cutoff is not None:
            policy = policy.with_digest("SHA-1", self.sha1_cutoff, {Purpose.SIGNATURE, Purpose.TIME_STAMP})
        return PathRules(algorithms=policy, legacy=legacy, terms=by_anchor(self.terms))


class TrustSource(Protocol):
    """Where anchors, CA certificates and CRLs come from."""

    async def current(self, within_seconds: float | None = None) -> TrustMaterial:
        """The newest material, asked for anew where it is older than so many seconds; None: than the settings say.

        The same object while nothing changed. Raises ServiceUnavailable when there is none that is fresh enough.
        """
        ...


class DigestMissing(LookupError):
    """The content is known by digests only, and none of them is by the algorithm that is asked for."""


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """A content that stays where it is: a digest of it, and the label of its algorithm ("SHA-256")."""

    label: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SubmittedDocument:
    """A document as it came in, and for a detached signature the content that it signs. Limits are the caller's.

    `named` are contents by file name, for signatures that name several; `detached` is then the first of them. `digests`
    are of contents that did not come.
    """

    data: bytes
    detached: bytes | None = None
    named: Mapping[str, bytes] = field(default_factory=dict)
    digests: tuple[ContentDigest, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a signature cannot be judged further, found while reading."""

    indication: Indication
    sub_indication: SubIndication
    detail: str
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundTimeStamp:
    """A time-stamp token (RFC 3161, DER or BER ContentInfo) that goes with a signature, read but not judged.

    `imprint` computes the digest of what the token has to be over, by algorithm label; None when that is not at hand.
    `covers` are the SHA-256 of the values that existed too when this token was made: certificates, CRLs, OCSP
    responses (each in DER) and earlier tokens. `kind` says what the token is for; a content time-stamp proves nothing
    of the signature. `fault` says why the token cannot be used, empty where nothing was found.
    """

    kind: TimeSource
    token: bytes
    imprint: Callable[[str], bytes] | None = None
    covers: frozenset[bytes] = frozenset()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The signature value of a format whose reader has itself compared the digests of all that is signed.

    `holds` says whether the value is a key's; it raises AlgorithmError where the two do not fit. `digests` are
    labels of the algorithms of those digests, for the policy to judge by their time; `weak` are warnings for what is not
    allowed at any time. `key` came bare with the signature: it shows integrity and no signer.
    """

    scheme: SignatureAlgorithm
    holds: Callable[[PublicKeyTypes], bool]
    weak: tuple[Notice, ...] = ()
    key: PublicKeyTypes | None = None
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """One signature of a document, read but not judged.

    `digest` computes the digest of what is signed, by algorithm label ("SHA-256"), and raises DigestMissing where that
    is not to be had; None when the content is not at hand; `digests` are labels of the algorithms that led from the documents to that. `certificates`, `crls` and
    `ocsps` are those that travel with the signature or in the document's store (DER).
    `time_stamps` are the tokens that go with it, whatever their order. With a `proof`, `signer` only names the
    certificate, and `digest` is not asked for.
    """

    name: str
    format: str
    coverage: CoverageReport
    kind: SignatureKind = SignatureKind.SIGNATURE
    signer: SignerInfo | None = None
    content_type: str = ""
    digest: Callable[[str], bytes] | None = None
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    time_stamps: tuple[FoundTimeStamp, ...] = ()
    own_stamp: FoundTimeStamp | None = None
    unjudged_time_stamps: bool = False
    claimed_time: datetime | None = None
    notices: tuple[Notice, ...] = ()
    fault: Fault | None = None
    proof: Proof | None = None
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """An original document that a signed file carries, taken out of it as it is signed.

    `name` is the file's own word for it, empty where it has none; it is no path, and may be anything. `signed_by` are
    the names of the signatures that are over it: nothing is said of whether they hold.
    """

    name: str
    data: bytes
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What a reader made of a document. `obstacle` says why it could not be read; its signatures are then unknown.

    `contents` are the documents that the file carries; what came in beside it is none of them. `stamps_speak`: the file
    is nothing but a time-stamp, whose word is the document's. `stamps_apart`: its time-stamps are files of their own, and
    one that does not hold says nothing of the rest. `content_speaks`: the file is nothing but a time-stamped wrapping of
    one document, whose verdict is the file's where it is signed and a time-stamp over it holds.
    """

    format: str
    signatures: Sequence[FoundSignature] = ()
    obstacle: Notice | None = None
    contents: Sequence[Content] = ()
    stamps_speak: bool = False
    stamps_apart: bool = False
    content_speaks: bool = False


class SignatureFormat(Protocol):
    """One signature format."""

    name: str

    def recognises(self, data: bytes) -> bool:
        """True when the content (never the file name) says that this reader is the right one."""
        ...

    def find(self, document: SubmittedDocument) -> Findings:
        """Every signature of the document. Raises nothing for a damaged document: the findings say so."""
        ...
