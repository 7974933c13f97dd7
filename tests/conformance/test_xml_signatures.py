"""XML signatures that others made: the verdict that each must get, scored in this process by the manifests' own rule."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.verifier.domain import DocumentReport
from services.verifier.formats.xml_input import DS, parse
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService

CORPORA = Path(os.environ["CORPORA"])
KINDS = {"xades", "xmldsig", "xml-malformed"}
REFERENCE_TO_ANOTHER_CERTIFICATE = {"dss:XAdESWithWrongSignCertificateDigestTest"}
"""The signed reference is to another certificate than the one in the file: DSS calls the mathematics intact, and its
verdict is INDETERMINATE, as here."""


@pytest.fixture(scope="module")
def scoring() -> Any:
    """The rules of the manifests, which lie beside them."""
    found = importlib.util.spec_from_file_location("score", CORPORA / "score.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def judged(record: dict[str, Any]) -> DocumentReport:
    """Integrity of a record's document, with all the content that goes with it."""
    service = VerificationService((XmlFormat(),), TrustMaterial(), integrity_only=True)
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


def has_no_key(record: dict[str, Any]) -> bool:
    """True for a file whose KeyInfo names a key and holds none: nobody can check it from what is at hand."""
    info = parse(Path(record["file"]).read_bytes()).getroot().find(f".//{DS}KeyInfo")
    return info is not None and {str(one.tag) for one in info} == {f"{DS}KeyName"}


@pytest.mark.parametrize("manifest", ["manifest.json", "xmldsig.json"])
def test_every_xml_signature_gets_the_verdict_that_it_must_have(scoring: Any, manifest: str) -> None:
    table: Counter[str] = Counter()
    wrong: list[str] = []
    for record in records(scoring, manifest):
        report = judged(record)
        result = scoring.judge(record, report.verdict.value, report.clean)
        if record["kind"] == "xmldsig" and has_no_key(record):
            assert report.verdict.value == "indeterminate", record["id"]
            result = "no key"
        elif record["id"] in REFERENCE_TO_ANOTHER_CERTIFICATE:
            assert report.verdict.value == "indeterminate"
            result = "another certificate"
        elif result != "ok":
            wrong.append(f"{result} {record['id']}: {report.verdict}, clean {report.clean}")
        table[result] += 1
    print(manifest, dict(table))  # noqa: T201 - the figures of the run are asked for
    assert not wrong
    assert table["ok"] > 20
