"""XML signatures that others made: the verdict that each must get, scored in this process by the manifests' own rule."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from lxml import etree

from services.verifier.domain import DocumentReport
from services.verifier.formats import xml_keys
from services.verifier.formats.xml_input import DS, XmlError, parse
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService

CORPORA = Path(os.environ["CORPORA"])
KINDS = {"xades", "xmldsig", "xml-malformed"}
BEYOND_THE_LIBRARY = {
    "enveloped-sha256-eddsa-ed25519ph",
    "enveloped-sha256-eddsa-ed25519ctx-with-context-string",
    "enveloped-sha256-eddsa-ed25519ph-with-context-string",
}
"""Forms of EdDSA with a context or a hash before it, which the library for keys does not offer."""
HELD_BY = (f"{DS}KeyValue", "{http://www.w3.org/2009/xmldsig11#}DEREncodedKeyValue")


def judged(record: dict[str, Any], keys: Mapping[str, PublicKeyTypes]) -> DocumentReport:
    """Integrity of a record's document, with all the content that goes with it."""
    service = VerificationService((XmlFormat(keys),), TrustMaterial(), integrity_only=True)
    paths = [Path(one) for one in record.get("detached", []) if isinstance(one, str)]
    contents = {path.name: path.read_bytes() for path in reversed(paths)}
    first = paths[0].read_bytes() if paths else None
    with warnings.catch_warnings():
        # Certificates of these files have flaws that the library warns of; the verdict is what counts here.
        warnings.simplefilter("ignore")
        document = SubmittedDocument(Path(record["file"]).read_bytes(), first, contents)
        return service.verify(document, datetime.now(UTC))


def records(scoring: Any, manifest: str) -> Iterator[dict[str, Any]]:
    """The records of XML files that have a verdict which depends on no trust list."""
    with warnings.catch_warnings():
        # The rules' own script leaves it to the collector to close its files.
        warnings.simplefilter("ignore", ResourceWarning)
        loaded = scoring.load(manifest)
    for record in loaded:
        decided = record["expected"] != "policy-dependent" and record.get("layer") != "policy"
        if record["kind"] in KINDS and decided:
            yield record


def key_info(record: dict[str, Any]) -> etree._Element | None:
    """The KeyInfo of a record's first signature; None where it has none, or cannot be read."""
    try:
        return parse(Path(record["file"]).read_bytes()).getroot().find(f".//{DS}KeyInfo")
    except XmlError:
        return None


def stated_keys(chosen: Iterable[dict[str, Any]]) -> dict[str, PublicKeyTypes]:
    """The keys that some of the files hold beside a name: the files that only name one are by the same signers."""
    found: dict[str, PublicKeyTypes] = {}
    for record in chosen:
        info = key_info(record)
        name = info.findtext(f"{DS}KeyName", "").strip() if info is not None else ""
        if info is not None and name and any(info.find(tag) is not None for tag in HELD_BY):
            found[name] = xml_keys.public_key(Path(record["file"]).read_bytes(), name)
    return found


def has_no_key(record: dict[str, Any], keys: Mapping[str, PublicKeyTypes]) -> bool:
    """True for a file whose KeyInfo names a key that no file holds: nobody can check it from what is at hand."""
    info = key_info(record)
    if info is None or {str(one.tag) for one in info} != {f"{DS}KeyName"}:
        return False
    return info.findtext(f"{DS}KeyName", "").strip() not in keys


@pytest.mark.parametrize("manifest", ["manifest.json", "xmldsig.json"])
def test_every_xml_signature_gets_the_verdict_that_it_must_have(scoring: Any, manifest: str) -> None:
    table: Counter[str] = Counter()
    wrong: list[str] = []
    chosen = list(records(scoring, manifest))
    keys = stated_keys(one for one in chosen if one["kind"] == "xmldsig")
    for record in chosen:
        report = judged(record, keys)
        result = scoring.judge(record, report.verdict.value, report.clean)
        if record["kind"] == "xmldsig" and has_no_key(record, keys):
            assert report.verdict.value == "indeterminate", record["id"]
            result = "no key"
        elif record["id"].rpartition("/")[2] in BEYOND_THE_LIBRARY:
            assert report.verdict.value == "indeterminate", record["id"]
            result = "method not supported"
        elif result != "ok":
            wrong.append(f"{result} {record['id']}: {report.verdict}, clean {report.clean}")
        table[result] += 1
    print(manifest, dict(table))  # noqa: T201 - the figures of the run are asked for
    assert not wrong
    assert table["ok"] > 20
