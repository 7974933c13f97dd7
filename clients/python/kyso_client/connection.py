"""One API client's connection to the gateway: tokens, time-outs, and requests that are sent again where that is safe."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from kyso_client.errors import KysoError, KysoUnreachable, error_of
from kyso_client.tokens import ClientProof, TokenSource

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often and how patiently a request is sent again, always with the same idempotency key."""

    attempts: int = 5
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 5.0


class Connection:
    """Sends requests with the client's token. It knows nothing of what they mean."""

    def __init__(
        self,
        base_url: str,
        proof: ClientProof,
        *,
        scope: str = "",
        timeout_seconds: float = 60.0,
        retrying: Retrying | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """Take the gateway's address and the client's proof; `http` replaces the HTTP client (its base URL must fit)."""
        # A proxy of the environment cannot reach what runs on this machine.
        local = httpx.URL(base_url).host in {"127.0.0.1", "::1", "localhost"}
        self._http = http or httpx.Client(base_url=base_url, timeout=timeout_seconds, trust_env=not local)
        self._timeout = timeout_seconds
        self._tokens = TokenSource(self._http, proof, scope)
        self._retrying = retrying or Retrying()
        self._sleep: Callable[[float], None] = time.sleep

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @contextmanager
    def _stream(self, method: str, path: str, key: str, **content: Any) -> Iterator[httpx.Response]:
        headers = {"Idempotency-Key": key} if key else {}
        token = self._tokens.token()
        headers["Authorization"] = f"Bearer {token}"
        try:
            with self._http.stream(method, path, headers=headers, **content) as answer:
                if not answer.is_success:
                    answer.read()
                    if answer.status_code == 401:
                        self._tokens.forget(token)
                    raise error_of(answer)
                yield answer
        except httpx.TransportError as error:
            raise unreachable(error) from error

    def _json(self, method: str, path: str, key: str = "", **content: Any) -> dict[str, Any]:
        with self._stream(method, path, key, **content) as answer:
            answer.read()
            try:
                document = answer.json()
            except ValueError as error:
                raise KysoError("HTTP_ERROR", answer.status_code, "the answer is not JSON") from error
        if not isinstance(document, dict):
            raise KysoError("HTTP_ERROR", answer.status_code, "the answer is not a JSON object")
        return document

    def _pages(self, path: str, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield a list's pages, each asked for when the one before was taken."""
        token: str | None = ""
        while token is not None:
            asked = {**parameters, **({"page_token": token} if token else {})}
            page = self._again(partial(self._json, "GET", path, params=asked))
            yield page
            following = page.get("next_page_token")
            if following is not None and following == token:
                raise KysoError("HTTP_ERROR", 200, "the list leads back to the same page")
            token = following

    def _again(self, send: Callable[[], T]) -> T:
        """Send; where that is safe and may help, send again after a pause. `send` keeps its idempotency key."""
        pause = self._retrying.first_pause_seconds
        for attempt in range(1, self._retrying.attempts + 1):
            try:
                return send()
            except KysoError as error:
                if attempt == self._retrying.attempts or not _worth_another(error, attempt):
                    raise
                asked = float(error.data.get("retry_after", 0) or 0)
                # Not all callers that were turned away may come back in the same moment.
                jittered = pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
                self._sleep(min(self._retrying.longest_pause_seconds, max(asked, jittered)))
                pause *= 2
        raise AssertionError("unreachable")


def _worth_another(error: KysoError, attempt: int) -> bool:
    if isinstance(error, KysoUnreachable):
        return True
    if error.code in {"TOKEN_EXPIRED", "TOKEN_INVALID"}:
        # The token was thrown away: one try with a new one, in case the platform's keys or clock moved.
        return attempt == 1
    if error.code == "OPERATION_IN_PROGRESS":
        return True
    return error.status == 503 and bool(error.data.get("retryable", True))


def unreachable(error: httpx.TransportError) -> KysoUnreachable:
    """Make the error for a request that got no answer."""
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return KysoUnreachable(f"the platform does not answer: {type(error).__name__} {error}".strip(), sent=sent)
