"""What the caller of a path validation may choose: RFC 5280 6.1.1, algorithms, legacy links, strictness."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.x509.anchors import Terms
from services.verifier.x509.certificates import Certificate

GOVERNMENT_G1_LINKS = frozenset(
    {
        "75e969c07ba35c29c72bbc1bfb880f20f3891a619b00b77eb02ca6160736a1fe",
        "a262cfa489dbbe666f8b89fab832547809874d5a06fa9f7a38fc227ebdf40514",
        "ecbf8428266c549eb1bfdc2715270d5b9dff3bbbe2d3f0c33e0fd91f70b2d943",
        "6e218b3ebc2f31b0d03205c64fd7e8920fb47187d37afcdb4cb2bb4178bf4635",
        "3c4281296f92d292cc952295fe41ad7d0b37438ff1d143b56c4642cc1b14bd93",
    }
)
"""SHA-256 of the sub-CA certificates that the first-generation government root signed with SHA-1."""


@dataclass(frozen=True, slots=True)
class LegacyLinks:
    """CA certificates, by SHA-256 in lower-case hex, whose own SHA-1 signature is borne with a warning.

    They are known by their fingerprint, so nothing rests on the SHA-1 signature. `cutoff`: up to which time of
    validation certificates that they signed with SHA-1 are borne too; None: never.
    """

    pinned: AbstractSet[str]
    cutoff: datetime | None = None

    def bears(self, certificate: Certificate, issuer: Certificate, at: datetime) -> bool:
        """True when a SHA-1 signature on this certificate of a path is borne."""
        if certificate.sha256 in self.pinned:
            return True
        return issuer.sha256 in self.pinned and self.cutoff is not None and at <= self.cutoff


@dataclass(frozen=True, slots=True)
class PathRules:
    """Inputs of RFC 5280 6.1.1 (c), (e), (f), (g), and what this verifier lets its caller choose besides.

    `policies` None: any policy. `check_status`: every certificate's status must be known and good. `strict`: the
    profile of RFC 5280 section 4 and 5.2 is demanded of certificates and lists, and validity of the anchor too.
    `max_intermediates` None: only the verifier's own bound on the length of paths. `terms` are those of the anchors,
    `purpose` is what the leaf's key was used for.
    """

    policies: AbstractSet[str] | None = None
    explicit_policy: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False
    check_status: bool = True
    strict: bool = False
    max_intermediates: int | None = None
    algorithms: AlgorithmPolicy = field(default_factory=algorithms.default_policy)
    legacy: LegacyLinks | None = None
    terms: Terms = field(default_factory=dict)
    purpose: Purpose = Purpose.SIGNATURE

    def for_crl_signer(self) -> PathRules:
        """The rules for a path to a signer of CRLs: what is asked of policies and lengths is asked of signers' paths."""
        return replace(
            self,
            policies=None,
            explicit_policy=False,
            inhibit_mapping=False,
            inhibit_any=False,
            max_intermediates=None,
            terms={},
        )
