"""Kyso's Python client: sign, verify, credentials, operations. It talks to the gateway over HTTP and nothing else.

with KysoClient("https://kyso.example.gov.vn", ClientSecret("cl_…", secret)) as kyso:
    signed = kyso.sign_document(Path("letter.pdf"), credential_id="cr_…", output=Path("letter-signed.pdf"))
"""

from kyso_client.client import KysoClient
from kyso_client.errors import KysoError, KysoUnreachable
from kyso_client.options import Anchor, BatchItemOptions, Box, PdfOptions, SigningOptions, Visible, XmlOptions
from kyso_client.results import (
    BatchOutcome,
    Credential,
    Evidence,
    EvidenceFile,
    EvidenceValue,
    HashOutcome,
    Operation,
    PreparedDocument,
    Readiness,
    SignedDocument,
    SignedHashes,
    SubmittedDocument,
    Verification,
)
from kyso_client.tokens import ClientProof, ClientSecret, PrivateKey
from kyso_client.transfer import File
from kyso_client.verifying import Extraction, Owner, WrittenReport

__all__ = [
    "Anchor",
    "BatchItemOptions",
    "BatchOutcome",
    "Box",
    "ClientProof",
    "ClientSecret",
    "Credential",
    "Evidence",
    "EvidenceFile",
    "EvidenceValue",
    "Extraction",
    "File",
    "HashOutcome",
    "KysoClient",
    "KysoError",
    "KysoUnreachable",
    "Operation",
    "Owner",
    "PdfOptions",
    "PreparedDocument",
    "PrivateKey",
    "Readiness",
    "SignedDocument",
    "SignedHashes",
    "SigningOptions",
    "SubmittedDocument",
    "Verification",
    "Visible",
    "WrittenReport",
    "XmlOptions",
]
