"""Basic processing of one certification path, RFC 5280 6.1, from the anchor down; the statuses are `path`'s business."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from services.verifier.formats import ber
from services.verifier.formats.ber import BerError
from services.verifier.x509 import profile
from services.verifier.x509.certificates import Certificate, CertificateError
from services.verifier.x509.name_constraints import NameConstraintError, NameConstraints
from services.verifier.x509.path_rules import PathRules
from services.verifier.x509.policy_graph import CertificatePolicy, PolicyError, PolicyGraph


def fault_of(path: tuple[Certificate, ...], rules: PathRules) -> str:
    """The first thing that RFC 5280 6.1 holds against the path (the signer's first, the anchor last); "" when nothing.

    Signatures, validity and statuses are not looked at. Raises CertificateError.
    """
    try:
        _names_and_policies(path, rules)
    except (NameConstraintError, PolicyError) as error:
        return str(error)
    below = 0
    for index, certificate in enumerate(path):
        anchor = index == len(path) - 1
        reason = "" if anchor else profile.own_fault(certificate, leaf=index == 0)
        if not reason and rules.strict:
            reason = profile.fault_of(certificate, leaf=index == 0, anchor=anchor)
        if not reason and index > 0:
            reason = _authority_fault(certificate, below, anchor)
            below += 0 if certificate.self_issued or anchor else 1
        if reason:
            return f"certificate {index} of the path {reason}"
    if rules.max_intermediates is not None and below > rules.max_intermediates:
        return f"the path has {below} intermediate CAs, at most {rules.max_intermediates} are allowed"
    return ""


def _names_and_policies(path: tuple[Certificate, ...], rules: PathRules) -> None:
    """6.1.3 (b) to (f) and 6.1.4 (a) to (j), the anchor's own constraints included (RFC 5937)."""
    certificates = path[:-1]
    names = NameConstraints()
    graph = PolicyGraph(
        len(certificates),
        explicit=rules.explicit_policy,
        inhibit_mapping=rules.inhibit_mapping,
        inhibit_any=rules.inhibit_any,
    )
    if not certificates:
        return
    names.add(path[-1])
    graph.constrain(policy_of(path[-1]))
    said = CertificatePolicy()
    for index in range(len(certificates) - 1, -1, -1):
        certificate = certificates[index]
        if index == 0 or not certificate.self_issued:
            names.judge(certificate)
        said = policy_of(certificate)
        graph.add(said, self_issued=certificate.self_issued)
        if index > 0:
            names.add(certificate)
    graph.close(said, rules.policies)


def policy_of(certificate: Certificate) -> CertificatePolicy:
    """What the certificate says of policies. Raises CertificateError."""
    policies: frozenset[str] | None = None
    mappings: dict[str, set[str]] = {}
    explicit = mapping = inhibit_any = None
    for extension in certificate.extensions():
        value = extension.value
        if isinstance(value, x509.CertificatePolicies):
            policies = frozenset(p.policy_identifier.dotted_string for p in value)
        elif isinstance(value, x509.PolicyConstraints):
            explicit, mapping = value.require_explicit_policy, value.inhibit_policy_mapping
        elif isinstance(value, x509.InhibitAnyPolicy):
            inhibit_any = value.skip_certs
        elif extension.oid == ExtensionOID.POLICY_MAPPINGS and isinstance(value, x509.UnrecognizedExtension):
            mappings = _mappings(value.value)
    return CertificatePolicy(policies, mappings, explicit, mapping, inhibit_any)


def _mappings(encoded: bytes) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    try:
        node, rest = ber.load(encoded)
        pairs = [m.expect(ber.SEQUENCE, "pair of policies").children() for m in node.children()]
        for issuer, subject in pairs:
            found.setdefault(ber.oid(issuer), set()).add(ber.oid(subject))
    except (BerError, ValueError) as error:
        raise CertificateError("the policy mappings of the certificate cannot be read") from error
    if rest or not found:
        raise CertificateError("the policy mappings of the certificate cannot be read")
    return found


def _authority_fault(certificate: Certificate, below: int, anchor: bool) -> str:
    """Why the certificate may not issue the one under it; `below` counts the intermediates under it (6.1.4 k-n).

    An anchor is trusted as such; where its certificate says how long paths may be, that holds too (RFC 5937).
    """
    extensions = certificate.extensions()
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "" if anchor else "has no basicConstraints and so is no CA's"
    if not basic.ca:
        return "" if anchor else "is no CA's"
    if basic.path_length is not None and below > basic.path_length:
        return f"allows {basic.path_length} CA certificates under it, there are {below}"
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if anchor or usage.key_cert_sign else "may not sign certificates (keyUsage)"
