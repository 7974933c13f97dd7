"""Time-stamp requests to authorities outside (RFC 3161 section 3.4). What they answer is for the caller to check."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from services.kernel.errors import FieldInvalid, TimeStampUnavailable
from services.kernel.runtime.config import read_secret
from services.verifier.config import TimeStampAuthoritySettings
from services.verifier.egress.client import Egress, Kind, Question
from services.verifier.egress.hosts import EgressError

MAX_REQUEST_BYTES = 4 * 1024
MAX_RESPONSE_BYTES = 64 * 1024


class TimeStampRelay:
    """Authorities by the names that the settings give them."""

    def __init__(self, egress: Egress, authorities: Sequence[TimeStampAuthoritySettings]) -> None:
        """Read the passwords. Raises ConfigError where a file cannot be read."""
        self._egress = egress
        self._authorities = {one.name: (one.url, _authorization(one)) for one in authorities}

    async def request(self, authority: str, request: bytes) -> bytes:
        """Send a TimeStampReq (DER); return what came. It is sent once: a time-stamp may cost money.

        Raises FieldInvalid, TimeStampUnavailable.
        """
        known = self._authorities.get(authority)
        if known is None:
            names = ", ".join(sorted(self._authorities)) or "there is none"
            raise FieldInvalid(f"no time-stamp authority of that name; known: {names}", field="authority")
        if not 0 < len(request) <= MAX_REQUEST_BYTES:
            raise FieldInvalid(f"a time-stamp request has 1 to {MAX_REQUEST_BYTES} bytes", field="request")
        url, authorization = known
        question = Question(
            Kind.TIME_STAMP, url, MAX_RESPONSE_BYTES, request, "application/timestamp-query", authorization
        )
        try:
            return await self._egress.ask(question)
        except EgressError as error:
            raise TimeStampUnavailable(
                f"no time-stamp from {authority}: {error.detail}; try again later",
                authority=authority,
                reason=error.reason.value,
            ) from error


def _authorization(settings: TimeStampAuthoritySettings) -> str:
    if settings.password_file is None:
        return ""
    password = read_secret(settings.password_file).get_secret_value()
    return "Basic " + base64.b64encode(f"{settings.user}:{password}".encode()).decode("ascii")
