"""One hierarchy for all tests of the verifier: keys are slow to make and nothing changes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.verifier.domain import DocumentReport
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy

Verify = Callable[..., DocumentReport]


@pytest.fixture(scope="session")
def hierarchy() -> Hierarchy:
    """Root, issuing CA, signer."""
    return Hierarchy.make()


@pytest.fixture(scope="session")
def signed_pdf(hierarchy: Hierarchy) -> bytes:
    """A PDF with one valid PAdES B-B signature."""
    return hierarchy.signer.pdf()


@pytest.fixture(scope="session")
def signed_cms(hierarchy: Hierarchy) -> bytes:
    """A CMS message with its content and one valid signature."""
    return hierarchy.signer.cms("Công văn số 12/2026".encode())


@pytest.fixture
def verify(hierarchy: Hierarchy) -> Verify:
    """Verify data as of NOW; trust is the hierarchy's unless another is given."""

    def run(
        data: bytes,
        *,
        detached: bytes | None = None,
        trust: TrustMaterial | None = None,
        integrity_only: bool = False,
    ) -> DocumentReport:
        service = VerificationService(
            (PdfFormat(), CmsFormat()),
            hierarchy.trust() if trust is None else trust,
            integrity_only=integrity_only,
        )
        return service.verify(SubmittedDocument(data, detached), NOW)

    return run
