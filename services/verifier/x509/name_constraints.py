"""Name constraints of a path: RFC 5280 4.2.1.10 and 6.1.3 (b), (c).

Every CA's permitted subtrees are kept apart and a name must lie in those of each: that is the intersection which
6.1.4 (g) asks for. A constraint on a form of names that is not processed refuses every certificate with such a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from services.verifier.x509.certificates import Certificate, NameKey, name_key

MAX_COMPARISONS = 50_000
"""Comparisons of a name with a subtree for one path; a path that needs more does not pass."""
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")

_Name = x509.GeneralName


class NameConstraintError(ValueError):
    """A name is outside what the CAs above it allow, or a name or constraint cannot be understood."""


class NameConstraints:
    """Collects the constraints from the anchor downwards and judges names by them."""

    def __init__(self) -> None:
        self._permitted: list[tuple[_Name, ...]] = []
        self._excluded: list[_Name] = []
        self._left = MAX_COMPARISONS
        self._keys: dict[int, tuple[x509.Name, NameKey]] = {}
        """By identity: hashing such a name takes as long as making its key. The name is kept so that it stays the same."""

    def add(self, certificate: Certificate) -> None:
        """Take over a CA's constraints (6.1.4 g). Raises NameConstraintError, CertificateError."""
        try:
            said = certificate.extensions().get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            return
        for base in (*(said.permitted_subtrees or ()), *(said.excluded_subtrees or ())):
            _check_base(base)
        if said.permitted_subtrees:
            self._permitted.append(tuple(said.permitted_subtrees))
        self._excluded.extend(said.excluded_subtrees or ())

    def judge(self, certificate: Certificate) -> None:
        """6.1.3 (b) and (c) for one certificate. Raises NameConstraintError, CertificateError."""
        if not self._permitted and not self._excluded:
            return
        for name in names_of(certificate):
            for excluded in self._excluded:
                if type(excluded) is type(name) and self._within(name, excluded, refusing=True):
                    raise NameConstraintError(
                        f"a {_form(name)} of the certificate is excluded by a CA above it"
                    )
            for permitted in self._permitted:
                own = [base for base in permitted if type(base) is type(name)]
                if own and not any(self._within(name, base, refusing=False) for base in own):
                    raise NameConstraintError(
                        f"a {_form(name)} of the certificate is not permitted by a CA above it"
                    )

    def _within(self, name: _Name, base: _Name, *, refusing: bool) -> bool:
        self._left -= 1
        if self._left < 0:
            raise NameConstraintError("the name constraints need more comparisons than are done")
        if isinstance(base, x509.DirectoryName) and isinstance(name, x509.DirectoryName):
            outer = self._key(base.value)
            return self._key(name.value)[: len(outer)] == outer
        if isinstance(base, x509.DNSName) and isinstance(name, x509.DNSName):
            return _dns_within(name.value, base.value, refusing)
        if isinstance(base, x509.RFC822Name) and isinstance(name, x509.RFC822Name):
            return _mail_within(name.value, base.value)
        if isinstance(base, x509.UniformResourceIdentifier) and isinstance(
            name, x509.UniformResourceIdentifier
        ):
            return _host_within(_host(name.value), base.value)
        if isinstance(base, x509.IPAddress) and isinstance(name, x509.IPAddress):
            return _address_within(name.value, base.value)
        raise NameConstraintError(f"a constraint on names of the form {_form(name)} is not processed")

    def _key(self, name: x509.Name) -> NameKey:
        # Names of a thousand parts, each compared with a thousand more: none is made comparable twice.
        if id(name) not in self._keys:
            self._keys[id(name)] = (name, name_key(name))
        return self._keys[id(name)][1]


def names_of(certificate: Certificate) -> list[_Name]:
    """The names that constraints apply to: subject, alternative names, and without those the e-mail in the subject."""
    names: list[_Name] = []
    subject = certificate.parsed.subject
    if list(subject):
        names.append(x509.DirectoryName(subject))
    try:
        alternative = list(
            certificate.extensions().get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        alternative = []
    names += alternative
    if not any(isinstance(name, x509.RFC822Name) for name in alternative):
        for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            value = attribute.value
            text = value if isinstance(value, str) else value.decode("latin-1")
            if not text.isascii():
                raise NameConstraintError("an e-mail address in the subject is not written in ASCII")
            names.append(x509.RFC822Name(text))
    return names


def _form(name: _Name) -> str:
    return {
        x509.DirectoryName: "directoryName",
        x509.DNSName: "dNSName",
        x509.RFC822Name: "rfc822Name",
        x509.UniformResourceIdentifier: "uniformResourceIdentifier",
        x509.IPAddress: "iPAddress",
        x509.OtherName: "otherName",
        x509.RegisteredID: "registeredID",
    }.get(type(name), "name of another form")


def _check_base(base: _Name) -> None:
    if isinstance(base, x509.DNSName) and base.value and not _is_host(base.value):
        raise NameConstraintError("a dNSName constraint is not a name of a host")
    if isinstance(base, x509.IPAddress) and not isinstance(
        base.value, ipaddress.IPv4Network | ipaddress.IPv6Network
    ):
        raise NameConstraintError("an iPAddress constraint is not an address with a mask")


def _is_host(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.match(label) for label in text.split("."))


def _dns_within(name: str, base: str, refusing: bool) -> bool:
    """Zero or more labels before the base. A wildcard stands for names that may lie in an excluded subtree."""
    plain = name.casefold()
    wildcard = plain.startswith("*.")
    if not _is_host(plain[2:] if wildcard else plain):
        raise NameConstraintError("a dNSName of the certificate is not a name of a host")
    low = base.casefold()
    if wildcard:
        parent = plain[2:]
        if refusing and low.endswith("." + parent) and "." not in low[: -len(parent) - 1]:
            return True
        plain = parent if not refusing and _below(parent, low) else "x." + parent
    return _below(plain, low)


def _below(name: str, base: str) -> bool:
    return not base or name == base or name.endswith("." + base)


def _mail_within(name: str, base: str) -> bool:
    """A mailbox, the mailboxes of a host, or with a leading period those of the hosts of a domain."""
    local, at, host = name.rpartition("@")
    if not at or not local or not host:
        raise NameConstraintError("an rfc822Name of the certificate is not a mailbox")
    if "@" in base:
        # Only the host is compared without regard to case (RFC 5280 7.5).
        base_local, _, base_host = base.rpartition("@")
        return local == base_local and host.casefold() == base_host.casefold()
    return _host_within(host, base)


def _host_within(host: str, base: str) -> bool:
    low, base = host.casefold(), base.casefold()
    if base.startswith("."):
        return low.endswith(base) and len(low) > len(base)
    return low == base or not base


def _host(uri: str) -> str:
    """The host of a URI; constraints cannot be applied to one without (4.2.1.10: such a certificate is refused)."""
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError as error:
        raise NameConstraintError("a URI of the certificate cannot be read") from error
    if not host or ":" in host or host.replace(".", "").isdigit():
        raise NameConstraintError("a URI of the certificate has no host name to apply a constraint to")
    return host


def _address_within(name: object, base: object) -> bool:
    if not isinstance(base, ipaddress.IPv4Network | ipaddress.IPv6Network):
        raise NameConstraintError("an iPAddress constraint is not an address with a mask")
    if not isinstance(name, ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise NameConstraintError("an iPAddress of the certificate is not an address")
    return name.version == base.version and name in base


def matches_host(certificate: Certificate, names: Iterable[_Name]) -> bool:
    """True when each of the names is among the certificate's alternative names; wildcards stand for one label."""
    own = names_of(certificate)
    return all(any(_same(name, wanted) for name in own) for wanted in names)


def _same(name: _Name, wanted: _Name) -> bool:
    if isinstance(name, x509.DNSName) and isinstance(wanted, x509.DNSName):
        have, want = name.value.casefold(), wanted.value.casefold()
        return have == want or (have.startswith("*.") and want.partition(".")[2] == have[2:])
    return name == wanted
