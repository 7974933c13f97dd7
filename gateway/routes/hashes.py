"""POST /v1/hashes:sign: 1 to 1,000 digests signed with one credential. The road with the most traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.endpoint import Endpoint, idempotency_key, json_response
from gateway.fields import base64_values, parse_object
from kyso.v1 import common_pb2 as common
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import AlgorithmUnknown, BatchEmpty, BatchTooLarge

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub

MAX_DIGESTS = 1000


class Hashes:
    """Signs digests."""

    def __init__(self, signer: SignerServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the signer."""
        self._signer = signer
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        described = openapi.operation(
            "signing",
            "Sign digests",
            {"200": openapi.json_answer("HashesAnswer", "One outcome for each digest.")},
            body=openapi.json_body("HashesRequest"),
            parameters=[openapi.IDEMPOTENCY_KEY],
        )
        return (Endpoint("POST", "/v1/hashes:sign", self.sign, described, frozenset({"sign:hash"})),)

    async def sign(self, request: Request, caller: Caller) -> Response:
        """Answer one outcome for each digest, in the order of the request."""
        key = idempotency_key(request)
        body.require_media_type(request, "application/json")
        raw = await body.read(request, self._limits.max_json_bytes, self._limits)
        answer = await self._signer.SignHashes(read_request(raw, key), metadata=caller.metadata)
        return json_response(translate.hashes_answer(answer))


def read_request(raw: bytes, key: str) -> messages.SignHashesRequest:
    """Read the JSON body; the signer checks what the values mean."""
    fields = parse_object(raw)
    credential_id = fields.text("credential_id", 64)
    items = fields.required_items("digests")
    if not items:
        raise BatchEmpty("field 'digests' is empty: send 1 to 1,000 digests", field="digests")
    if len(items) > MAX_DIGESTS:
        raise BatchTooLarge(
            f"field 'digests' has {len(items)} items; at most {MAX_DIGESTS} in one call",
            field="digests",
            limit=MAX_DIGESTS,
        )
    message = messages.SignHashesRequest(
        credential_id=credential_id,
        idempotency_key=key,
        digest_algorithm=fields.choice(
            "digest_algorithm", translate.DIGEST_ALGORITHMS, error=AlgorithmUnknown
        ),
        scheme=fields.choice(
            "scheme",
            translate.SCHEMES,
            default=common.SIGNATURE_SCHEME_UNSPECIFIED,
            error=AlgorithmUnknown,
        ),
        digests=base64_values("digests", items),
        context=messages.SigningContext(
            document_type=fields.optional_text("document_type"),
            label=fields.choice("label", translate.LABELS, default=common.SECRECY_LABEL_UNSPECIFIED),
            reference=fields.optional_text("reference"),
        ),
    )
    fields.done()
    return message
