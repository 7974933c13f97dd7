"""POST /oauth2/token (RFC 6749 section 4.4, RFC 7523): relayed to the registry, which alone issues tokens."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, problems, schemas
from gateway.auth import Caller
from gateway.config import GatewaySettings
from gateway.endpoint import Endpoint, json_response
from gateway.rates import RateLimit
from kyso.v1 import registry_pb2 as messages
from services.kernel.errors import BodyTooLarge, DomainError

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import TokenServiceAsyncStub

PATH = "/oauth2/token"
MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 16
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class _Refused(Exception):
    """An error of RFC 6749 section 5.2 that the form itself shows."""

    def __init__(self, name: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.name, self.description, self.status = name, description, status


class Token:
    """Issues access tokens."""

    def __init__(
        self,
        tokens: TokenServiceAsyncStub,
        settings: GatewaySettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the registry's token service."""
        self._tokens = tokens
        self._limits = settings.limits
        self._endpoint = settings.http.public_url + PATH
        self._rate = RateLimit(settings.rates.token_per_second, settings.rates.token_burst, monotonic)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (Endpoint("POST", PATH, self.issue, _ISSUE),)

    async def issue(self, request: Request, _: Caller) -> Response:
        """Answer a token, or the error body that RFC 6749 section 5.2 prescribes."""
        basic = request.headers.get("authorization", "").lower().startswith("basic ")
        try:
            self._rate.take(request.client.host if request.client else "")
            form = await self._form(request)
            answer = await self._tokens.IssueToken(self._read(request, form))
        except _Refused as refused:
            return problems.oauth_error(refused.name, refused.description, refused.status, basic=basic)
        except DomainError as error:
            return problems.oauth_response(error, basic=basic)
        granted = {
            "access_token": answer.access_token,
            "token_type": "Bearer",
            "expires_in": answer.expires_in,
            "scope": answer.scope,
        }
        return json_response(granted, headers={"Pragma": "no-cache"})

    async def _form(self, request: Request) -> dict[str, str]:
        if body.media_type(request) != "application/x-www-form-urlencoded":
            raise _Refused("invalid_request", "the body must be application/x-www-form-urlencoded")
        try:
            raw = await body.read(request, MAX_FORM_BYTES, self._limits)
        except BodyTooLarge as error:
            raise _Refused("invalid_request", error.message, 413) from None
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=MAX_FIELDS,
                errors="strict",
            )
        except ValueError:
            raise _Refused("invalid_request", "the form cannot be read") from None
        form = dict(pairs)
        if len(form) != len(pairs):
            # RFC 6749 section 3.2: parameters must not be included more than once.
            raise _Refused("invalid_request", "a parameter stands twice")
        return {name: value for name, value in form.items() if value}

    def _read(self, request: Request, form: dict[str, str]) -> messages.IssueTokenRequest:
        if "grant_type" not in form:
            raise _Refused("invalid_request", "grant_type is missing")
        if form["grant_type"] != "client_credentials":
            raise _Refused("unsupported_grant_type", "grant_type must be client_credentials")
        message = messages.IssueTokenRequest(
            scope=form.get("scope", ""), token_endpoint=self._endpoint, client_id=form.get("client_id", "")
        )
        header = request.headers.get("authorization")
        proofs = [
            header is not None,
            "client_secret" in form,
            "client_assertion" in form or "client_assertion_type" in form,
        ]
        if sum(proofs) > 1:
            # RFC 6749 section 2.3: not more than one method in each request.
            raise _Refused("invalid_request", "the client authenticates in more than one way")
        if header is not None:
            client_id, message.client_secret = _basic(header)
            if message.client_id not in {"", client_id}:
                raise _Refused("invalid_request", "client_id differs from the one in Authorization")
            message.client_id = client_id
        elif "client_secret" in form and message.client_id:
            message.client_secret = form["client_secret"]
        elif proofs[2]:
            if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
                raise _Refused("invalid_request", f"client_assertion needs the type {ASSERTION_TYPE}")
            message.client_assertion = form["client_assertion"]
        else:
            raise _Refused("invalid_client", "no client authentication: send client_id and a proof", 401)
        return message


def _basic(header: str) -> tuple[str, str]:
    """Read HTTP Basic; RFC 6749 section 2.3.1 has both halves form-encoded before they are joined."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = (unquote_plus(half, errors="strict") for half in text.partition(":"))
    except (binascii.Error, ValueError):
        colon = client_id = secret = ""
    if scheme.lower() != "basic" or not colon or not client_id or not secret:
        raise _Refused("invalid_client", "the Authorization header is not HTTP Basic with id and secret", 401)
    return client_id, secret


_OAUTH = {"content": {"application/json": {"schema": schemas.ref("OAuthError")}}}
_ISSUE = openapi.operation(
    "token",
    "Get an access token",
    {
        "200": openapi.json_answer("Token", "The token."),
        **{
            status: {"description": text, **_OAUTH}
            for status, text in {
                "400": "The form is wrong (RFC 6749 section 5.2).",
                "401": "The client's proof was refused.",
                "413": "The form is too large.",
                "429": "Too many requests.",
                "503": "The registry cannot be reached now.",
            }.items()
        },
    },
    body={
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": schemas.text("Client; not with HTTP Basic."),
                        "client_secret": schemas.text("Its secret; not with HTTP Basic."),
                        "client_assertion_type": {"const": ASSERTION_TYPE},
                        "client_assertion": schemas.text("JWT (RFC 7523) signed with the client's own key."),
                        "scope": schemas.text("Scopes wanted, separated by spaces; absent: all it has."),
                    },
                    "required": ["grant_type"],
                }
            }
        },
    },
)
