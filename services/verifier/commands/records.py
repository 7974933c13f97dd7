"""Test records on standard input: a certification path or an S/MIME message, with all that its verdict depends on.

A record is one JSON object. Paths: `file`, `trust_anchor`, `intermediates`, `crls` (paths of files), `params`,
`check_revocation`, `validation_time`; or `testcase` in the form of x509-limbo. Messages: `kind` "smime" and `file`.
What a record does not bring is taken from the command line. The collections are older than today's rules for
algorithms, so any algorithm that can be checked counts; in return all of RFC 5280's profile is demanded.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from services.verifier import algorithms
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.smime import SmimeFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.procedure import building_blocks
from services.verifier.service import VerificationService
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import CertificateError
from services.verifier.x509.name_constraints import NameConstraintError, matches_host
from services.verifier.x509.path import PathValidator
from services.verifier.x509.path_rules import PathRules

MAX_FILE_BYTES = 16 << 20
_RULES = PathRules(algorithms=algorithms.UNRESTRICTED)


class RecordError(ValueError):
    """The record lacks something or has it in another form; the message says what."""


@dataclass(frozen=True, slots=True)
class _Question:
    leaf: bytes
    trust: TrustMaterial
    at: datetime
    rules: PathRules
    names: Sequence[x509.GeneralName] = field(default=())


def answer(record: Mapping[str, Any], trust: TrustMaterial, now: datetime) -> dict[str, Any]:
    """The verdict on a record: `verdict`, `clean` and `detail`. Raises RecordError, OSError."""
    try:
        if record.get("kind") == "smime":
            return _message(record, trust, now)
        return _path(_limbo(record["testcase"], now) if "testcase" in record else _stated(record, trust, now))
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"the record is incomplete or of another form: {error}") from error


def _path(question: _Question) -> dict[str, Any]:
    try:
        leaf = certificates.load(question.leaf)
    except CertificateError as error:
        return _verdict("invalid", str(error))
    anchors = building_blocks.loadable(question.trust.anchors)
    pool = building_blocks.loadable(question.trust.intermediates)
    validator = PathValidator(anchors, pool, question.trust.crls, question.rules)
    result = validator.validate(leaf, (), question.at)
    if result.failure is not None:
        return _verdict("invalid", f"{result.failure.value}: {result.detail}")
    try:
        if not matches_host(leaf, question.names):
            return _verdict("invalid", "the certificate does not have the name that is expected")
    except (NameConstraintError, CertificateError) as error:
        return _verdict("invalid", str(error))
    return _verdict("valid", "")


def _verdict(verdict: str, detail: str) -> dict[str, Any]:
    return {"verdict": verdict, "clean": verdict == "valid", "detail": detail}


def _stated(record: Mapping[str, Any], trust: TrustMaterial, now: datetime) -> _Question:
    params = record.get("params") or {}
    anchor = record.get("trust_anchor")
    policies = params.get("user_initial_policy_set")
    rules = replace(
        _RULES,
        policies=None if policies is None else frozenset(policies),
        explicit_policy=bool(params.get("initial_explicit_policy")),
        inhibit_mapping=bool(params.get("initial_policy_mapping_inhibit")),
        inhibit_any=bool(params.get("initial_any_policy_inhibit")),
        check_status=bool(record.get("check_revocation", True)),
    )
    own = TrustMaterial(
        trust.anchors if anchor is None else _certificates([anchor]),
        (*trust.intermediates, *_certificates(record.get("intermediates") or ())),
        (*trust.crls, *_crls(_read(path) for path in record.get("crls") or ())),
    )
    (leaf,) = _certificates([record["file"]])
    return _Question(leaf, own, _time(record.get("validation_time"), now), rules)


def _certificates(paths: Sequence[str]) -> tuple[bytes, ...]:
    """The certificates of files, in PEM or DER, as they stand: that one cannot be read is for the verdict to say."""
    found: list[bytes] = []
    for path in paths:
        data = _read(path)
        if b"-----BEGIN" in data:
            found.extend(c.der for c in certificates.load_all(data))
        else:
            found.append(data)
    return tuple(found)


def _crls(lists: Iterable[bytes]) -> tuple[bytes, ...]:
    """CRLs in DER. One that cannot be read is none: the status that it was to tell stays unknown."""
    found: list[bytes] = []
    for data in lists:
        with suppress(CertificateError):
            found.append(certificates.der_of_crl(data))
    return tuple(found)


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise RecordError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def _time(stated: str | None, now: datetime) -> datetime:
    if stated is None:
        return now
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError as error:
        raise RecordError("the validation time cannot be read") from error
    # Times of certificates and CRLs are whole seconds (RFC 5280 4.1.2.5), and a certificate is valid through its last.
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or UTC)


def _limbo(case: Mapping[str, Any], now: datetime) -> _Question:
    crls = case.get("crls") or ()
    trust = TrustMaterial(
        _from_pem(case["trusted_certs"]),
        _from_pem(case.get("untrusted_intermediates") or ()),
        _crls(pem.encode() for pem in crls),
    )
    expected = [case["expected_peer_name"]] if case.get("expected_peer_name") else []
    names = [_name(n) for n in (*expected, *(case.get("expected_peer_names") or ()))]
    rules = replace(
        _RULES, strict=True, check_status=bool(crls), max_intermediates=case.get("max_chain_depth")
    )
    (leaf,) = _from_pem([case["peer_certificate"]])
    return _Question(leaf, trust, _time(case.get("validation_time"), now), rules, names)


def _from_pem(pems: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(certificates.der_of_pem(pem.encode()) for pem in pems)


def _name(stated: Mapping[str, str]) -> x509.GeneralName:
    kind, value = stated["kind"], stated["value"]
    try:
        if kind == "IP":
            return x509.IPAddress(ipaddress.ip_address(value))
        return x509.RFC822Name(value) if kind == "RFC822" else x509.DNSName(value)
    except ValueError as error:
        raise RecordError(f"the expected name of kind {kind} cannot be read") from error


def _message(record: Mapping[str, Any], trust: TrustMaterial, now: datetime) -> dict[str, Any]:
    document = SubmittedDocument(_read(record["file"]))
    service = VerificationService((SmimeFormat(), CmsFormat()), trust, rules=_RULES)
    report = service.verify(document, _time(record.get("validation_time"), now))
    detail = "; ".join(f"{s.sub_indication or ''}: {s.detail}" for s in report.signatures if s.detail)
    return {"verdict": report.verdict.value, "clean": report.clean, "detail": detail}
