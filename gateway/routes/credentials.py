"""/v1/credentials: made, read, certified, held, released, revoked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, schemas, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.endpoint import Endpoint, idempotency_key, json_response, page, query
from gateway.fields import Fields, base64_values, parse_object
from kyso.v1 import common_pb2 as common
from kyso.v1 import registry_pb2 as messages
from services.kernel.errors import AlgorithmUnknown, FieldInvalid

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import RegistryServiceAsyncStub

MAX_CERTIFICATES = 8
PEM_TYPES = ("application/x-pem-file", "application/pem-certificate-chain")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_READ = frozenset({"credentials:read"})
_WRITE = frozenset({"credentials:write"})


class Credentials:
    """The credentials of the caller's agency and those below it."""

    def __init__(
        self, registry: RegistryServiceAsyncStub, limits: LimitSettings, revoked: Callable[[], None]
    ) -> None:
        """Take the registry, and what to call after a revocation: kept CRLs are old from then on."""
        self._registry = registry
        self._limits = limits
        self._revoked = revoked

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        one = "/v1/credentials/{id}"
        return (
            Endpoint("GET", "/v1/credentials", self.list, _LIST, _READ),
            Endpoint("POST", "/v1/credentials", self.create, _CREATE, _WRITE),
            Endpoint("GET", one, self.show, _SHOW, _READ),
            Endpoint("POST", one + ":hold", self.hold, _HOLD, _WRITE),
            Endpoint("POST", one + ":release", self.release, _RELEASE, _WRITE),
            Endpoint("POST", one + ":revoke", self.revoke, _REVOKE, _WRITE),
            Endpoint("GET", one + "/certification-request", self.certification_request, _CSR, _WRITE),
            Endpoint("POST", one + "/certificate", self.import_certificate, _IMPORT, _WRITE),
        )

    async def _fields(self, request: Request) -> Fields:
        body.require_media_type(request, "application/json")
        return parse_object(await body.read(request, self._limits.max_json_bytes, self._limits))

    async def list(self, request: Request, caller: Caller) -> Response:
        """List credentials."""
        parameters = query(request, "agency_id", "page_size", "page_token")
        answer = await self._registry.ListCredentials(
            messages.ListCredentialsRequest(agency_id=parameters.get("agency_id", ""), **page(parameters)),
            metadata=caller.metadata,
        )
        rows = [translate.credential(row) for row in answer.credentials]
        return json_response({"credentials": rows, "next_page_token": answer.next_page_token or None})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make a credential: a key in the HSM and, unless an outside CA issues it, a certificate."""
        key = idempotency_key(request)
        fields = await self._fields(request)
        message = messages.CreateCredentialRequest(
            idempotency_key=key,
            subscriber_id=fields.text("subscriber_id", 64),
            key_algorithm=fields.choice("key_algorithm", translate.KEY_ALGORITHMS, error=AlgorithmUnknown),
            activation=fields.choice("activation", translate.ACTIVATIONS, default=common.ACTIVATION_CLIENT),
            client_ids=fields.texts("client_ids", length=64),
            issuer=fields.choice("issuer", translate.ISSUERS, default=messages.ISSUER_KIND_OWN_CA),
            validity_days=fields.integer("validity_days", 1, 1826, 0),
        )
        fields.done()
        made = await self._registry.CreateCredential(message, metadata=caller.metadata)
        return json_response(translate.credential(made), 201, {"Location": f"/v1/credentials/{made.id}"})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Answer one credential."""
        query(request)
        row = await self._registry.GetCredential(
            messages.GetCredentialRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(translate.credential(row))

    async def hold(self, request: Request, caller: Caller) -> Response:
        """Stop a credential; answer when no signature by it can start any more."""
        fields = await self._fields(request)
        message = messages.HoldCredentialRequest(
            credential_id=request.path_params["id"],
            reason=fields.choice("reason", translate.HOLD_REASONS),
            suspected_since=translate.timestamp(fields.time("suspected_since")),
            reporter=fields.text("reporter"),
        )
        fields.done()
        answer = await self._registry.HoldCredential(message, metadata=caller.metadata)
        held = {
            "credential": translate.credential(answer.credential),
            **translate.confirmations(answer),
            "milliseconds": answer.milliseconds,
        }
        return json_response(held)

    async def release(self, request: Request, caller: Caller) -> Response:
        """End a hold."""
        fields = await self._fields(request)
        message = messages.ReleaseCredentialRequest(
            credential_id=request.path_params["id"], confirmation=fields.text("confirmation")
        )
        fields.done()
        row = await self._registry.ReleaseCredential(message, metadata=caller.metadata)
        return json_response(translate.credential(row))

    async def revoke(self, request: Request, caller: Caller) -> Response:
        """Revoke a credential's certificate for good."""
        fields = await self._fields(request)
        message = messages.RevokeCredentialRequest(
            credential_id=request.path_params["id"],
            ground=fields.choice("ground", translate.REVOCATION_GROUNDS),
            request_reference=fields.text("request_reference"),
        )
        fields.done()
        answer = await self._registry.RevokeCredential(message, metadata=caller.metadata)
        self._revoked()
        revoked = {
            "credential": translate.credential(answer.credential),
            **translate.confirmations(answer),
            "crl_number": answer.crl_number or None,
        }
        return json_response(revoked)

    async def certification_request(self, request: Request, caller: Caller) -> Response:
        """Answer the PKCS#10 request for an outside CA, DER."""
        query(request)
        identifier = request.path_params["id"]
        answer = await self._registry.GetCertificationRequest(
            messages.GetCertificationRequestRequest(credential_id=identifier), metadata=caller.metadata
        )
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{identifier}.p10"',
        }
        return Response(answer.certification_request, 200, headers, media_type="application/pkcs10")

    async def import_certificate(self, request: Request, caller: Caller) -> Response:
        """Take the certificate that an outside CA issued, as PEM or as JSON."""
        given = body.require_media_type(request, "application/json", *PEM_TYPES)
        raw = await body.read(request, self._limits.max_json_bytes, self._limits)
        if given == "application/json":
            fields = parse_object(raw)
            chain = base64_values("certificate_chain", fields.items("certificate_chain", MAX_CERTIFICATES))
            fields.done()
        else:
            texts = [b"".join(match.split()).decode("ascii") for match in _PEM.findall(raw)]
            chain = base64_values("certificate", [*texts[: MAX_CERTIFICATES + 1]])
        if not 1 <= len(chain) <= MAX_CERTIFICATES:
            raise FieldInvalid(
                f"send 1 to {MAX_CERTIFICATES} certificates, the credential's own first",
                field="certificate_chain",
            )
        row = await self._registry.ImportCertificate(
            messages.ImportCertificateRequest(
                credential_id=request.path_params["id"], certificate_chain=chain
            ),
            metadata=caller.metadata,
        )
        return json_response(translate.credential(row))


_ONE = {"200": openapi.json_answer("Credential", "The credential.")}
_LIST = openapi.operation(
    "credentials",
    "List credentials",
    {"200": openapi.json_answer("CredentialList", "One page.")},
    parameters=[openapi.parameter("agency_id", "Only those of this agency."), *openapi.PAGE],
)
_CREATE = openapi.operation(
    "credentials",
    "Make a credential",
    {"201": openapi.json_answer("Credential", "The credential.")},
    body=openapi.json_body("CredentialRequest"),
    parameters=[openapi.IDEMPOTENCY_KEY],
)
_SHOW = openapi.operation("credentials", "Read a credential", _ONE)
_HOLD = openapi.operation(
    "credentials",
    "Hold a credential",
    {"200": openapi.json_answer("HoldAnswer", "No signature by it starts from now on.")},
    body=openapi.json_body("HoldRequest"),
)
_RELEASE = openapi.operation(
    "credentials", "Release a credential", _ONE, body=openapi.json_body("ReleaseRequest")
)
_REVOKE = openapi.operation(
    "credentials",
    "Revoke a credential",
    {"200": openapi.json_answer("RevokeAnswer", "Revoked; this is final.")},
    body=openapi.json_body("RevokeRequest"),
)
_CSR = openapi.operation(
    "credentials",
    "Get the PKCS#10 request",
    {"200": openapi.binary_answer("CertificationRequest, DER (RFC 2986).", "application/pkcs10")},
)
_IMPORT = openapi.operation(
    "credentials",
    "Bring the certificate that an outside CA issued",
    _ONE,
    body={
        "required": True,
        "content": {
            "application/json": {"schema": schemas.ref("CertificateImport")},
            **{media_type: {} for media_type in PEM_TYPES},
        },
    },
)
