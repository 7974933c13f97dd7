"""Errors that only document formats raise (the shared ones are in the kernel)."""

from __future__ import annotations

from services.kernel.errors import DomainError, Kind


class SelfCheckFailed(DomainError):
    """The finished signature did not verify. Nothing was released; the key and its certificate may not belong together."""

    code, kind = "SELF_CHECK_FAILED", Kind.INTERNAL
