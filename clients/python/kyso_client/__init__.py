"""Kyso's Python client: sign, verify, credentials, operations. It talks to the gateway over HTTP and nothing else.

with KysoClient("https://kyso.example.gov.vn", ClientSecret("cl_…", secret)) as kyso:
    signed = kyso.sign_document(Path("letter.pdf"), credential_id="cr_…", output=Path("letter-signed.pdf"))
"""

from kyso_client.client import KysoClient
from kyso_client.errors import KysoError, KysoUnreachable
from kyso_client.results import (
    Credential,
    HashOutcome,
    Operation,
    Readiness,
    SignedDocument,
    SignedHashes,
    SubmittedDocument,
    Verification,
)
from kyso_client.tokens import ClientProof, ClientSecret, PrivateKey

__all__ = [
    "ClientProof",
    "ClientSecret",
    "Credential",
    "HashOutcome",
    "KysoClient",
    "KysoError",
    "KysoUnreachable",
    "Operation",
    "PrivateKey",
    "Readiness",
    "SignedDocument",
    "SignedHashes",
    "SubmittedDocument",
    "Verification",
]
