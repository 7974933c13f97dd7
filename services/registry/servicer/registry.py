"""RegistryService: every call carries the client's access token, verified here and not taken on the gateway's word."""

from __future__ import annotations

from dataclasses import dataclass

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.registry.domain.access import Caller
from services.registry.domain.audit import AuditFilter
from services.registry.domain.paging import Page
from services.registry.service.audit import AuditService
from services.registry.service.clients import ClientService, NewClient
from services.registry.service.credentials import CredentialService, NewCredential
from services.registry.service.holds import HoldReport, HoldService
from services.registry.service.parties import NewSubscriber, PartyService
from services.registry.service.tokens import TokenService
from services.registry.servicer import convert
from services.registry.servicer.bearer import Context, caller_of


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the register can do."""

    tokens: TokenService
    parties: PartyService
    clients: ClientService
    credentials: CredentialService
    holds: HoldService
    audit: AuditService


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Proto in, use case, proto out."""

    def __init__(self, use: UseCases) -> None:
        """Bind the use cases."""
        self._use = use

    def _caller(self, context: Context) -> Caller:
        return caller_of(self._use.tokens, context)

    async def CreateAgency(
        self, request: registry_pb2.CreateAgencyRequest, context: Context
    ) -> registry_pb2.Agency:
        """Make an agency."""
        agency = await self._use.parties.create_agency(
            self._caller(context), request.parent_id, request.name, request.organ_id
        )
        return convert.agency(agency)

    async def GetAgency(
        self, request: registry_pb2.GetAgencyRequest, context: Context
    ) -> registry_pb2.Agency:
        """Answer one agency."""
        return convert.agency(await self._use.parties.agency(self._caller(context), request.id))

    async def ListAgencies(
        self, request: registry_pb2.ListAgenciesRequest, context: Context
    ) -> registry_pb2.ListAgenciesResponse:
        """List agencies."""
        caller, page = self._caller(context), Page.parse(request.page_size, request.page_token)
        found = await self._use.parties.agencies(caller, request.parent_id, page)
        return registry_pb2.ListAgenciesResponse(
            agencies=[convert.agency(row) for row in found.rows], next_page_token=found.next_token
        )

    async def CreateSubscriber(
        self, request: registry_pb2.CreateSubscriberRequest, context: Context
    ) -> registry_pb2.Subscriber:
        """Make a subscriber."""
        caller = self._caller(context)
        new = NewSubscriber(
            agency_id=request.agency_id,
            kind=convert.subscriber_kind(request.kind),
            name=request.name,
            tax_code=request.tax_code,
            citizen_number=request.citizen_number,
            email=request.email,
            title=request.title,
        )
        return convert.subscriber(await self._use.parties.create_subscriber(caller, new))

    async def GetSubscriber(
        self, request: registry_pb2.GetSubscriberRequest, context: Context
    ) -> registry_pb2.Subscriber:
        """Answer one subscriber."""
        return convert.subscriber(await self._use.parties.subscriber(self._caller(context), request.id))

    async def ListSubscribers(
        self, request: registry_pb2.ListSubscribersRequest, context: Context
    ) -> registry_pb2.ListSubscribersResponse:
        """List subscribers."""
        caller, page = self._caller(context), Page.parse(request.page_size, request.page_token)
        found = await self._use.parties.subscribers(caller, request.agency_id, page)
        return registry_pb2.ListSubscribersResponse(
            subscribers=[convert.subscriber(row) for row in found.rows], next_page_token=found.next_token
        )

    async def CreateClient(
        self, request: registry_pb2.CreateClientRequest, context: Context
    ) -> registry_pb2.CreateClientResponse:
        """Make a client; its secret is in this answer and nowhere else."""
        caller = self._caller(context)
        new = NewClient(
            agency_id=request.agency_id,
            name=request.name,
            scopes=request.scopes,
            document_types=request.document_types,
            label_required=request.label_required,
            jwks=request.jwks,
        )
        client, secret = await self._use.clients.create(caller, new)
        return registry_pb2.CreateClientResponse(client=convert.client(client), secret=secret)

    async def GetClient(
        self, request: registry_pb2.GetClientRequest, context: Context
    ) -> registry_pb2.Client:
        """Answer one client."""
        return convert.client(await self._use.clients.get(self._caller(context), request.id))

    async def ListClients(
        self, request: registry_pb2.ListClientsRequest, context: Context
    ) -> registry_pb2.ListClientsResponse:
        """List clients."""
        caller, page = self._caller(context), Page.parse(request.page_size, request.page_token)
        found = await self._use.clients.list_below(caller, request.agency_id, page)
        return registry_pb2.ListClientsResponse(
            clients=[convert.client(row) for row in found.rows], next_page_token=found.next_token
        )

    async def SetClientEnabled(
        self, request: registry_pb2.SetClientEnabledRequest, context: Context
    ) -> registry_pb2.Client:
        """Switch a client off or on."""
        caller = self._caller(context)
        return convert.client(await self._use.clients.set_enabled(caller, request.id, request.enabled))

    async def CreateCredential(
        self, request: registry_pb2.CreateCredentialRequest, context: Context
    ) -> registry_pb2.Credential:
        """Make a credential."""
        caller = self._caller(context)
        new = NewCredential(
            subscriber_id=request.subscriber_id,
            key_algorithm=convert.key_algorithm(request.key_algorithm),
            activation=convert.activation(request.activation),
            client_ids=tuple(request.client_ids),
            issuer=convert.issuer_kind(request.issuer),
            validity_days=request.validity_days,
            idempotency_key=request.idempotency_key,
        )
        return convert.credential(await self._use.credentials.create(caller, new))

    async def GetCredential(
        self, request: registry_pb2.GetCredentialRequest, context: Context
    ) -> registry_pb2.Credential:
        """Answer one credential."""
        return convert.credential(await self._use.credentials.get(self._caller(context), request.id))

    async def ListCredentials(
        self, request: registry_pb2.ListCredentialsRequest, context: Context
    ) -> registry_pb2.ListCredentialsResponse:
        """List credentials."""
        caller, page = self._caller(context), Page.parse(request.page_size, request.page_token)
        found = await self._use.credentials.list_below(caller, request.agency_id, page)
        return registry_pb2.ListCredentialsResponse(
            credentials=[convert.credential(row) for row in found.rows], next_page_token=found.next_token
        )

    async def GetCertificationRequest(
        self, request: registry_pb2.GetCertificationRequestRequest, context: Context
    ) -> registry_pb2.GetCertificationRequestResponse:
        """Answer a PKCS#10 request."""
        caller = self._caller(context)
        der = await self._use.credentials.certification_request(caller, request.credential_id)
        return registry_pb2.GetCertificationRequestResponse(certification_request=der)

    async def ImportCertificate(
        self, request: registry_pb2.ImportCertificateRequest, context: Context
    ) -> registry_pb2.Credential:
        """Take an outside CA's certificate."""
        caller, chain = self._caller(context), tuple(request.certificate_chain)
        return convert.credential(
            await self._use.credentials.import_certificate(caller, request.credential_id, chain)
        )

    async def HoldCredential(
        self, request: registry_pb2.HoldCredentialRequest, context: Context
    ) -> registry_pb2.HoldCredentialResponse:
        """Stop a credential at once."""
        caller = self._caller(context)
        since = (
            convert.moment(request.suspected_since, "suspected_since")
            if request.HasField("suspected_since")
            else None
        )
        report = HoldReport(convert.hold_reason(request.reason), since, request.reporter)
        credential, stop = await self._use.holds.hold(caller, request.credential_id, report)
        return registry_pb2.HoldCredentialResponse(
            credential=convert.credential(credential),
            confirmations=convert.confirmations(stop),
            unconfirmed=stop.unconfirmed,
            milliseconds=stop.milliseconds,
        )

    async def ReleaseCredential(
        self, request: registry_pb2.ReleaseCredentialRequest, context: Context
    ) -> registry_pb2.Credential:
        """End a hold."""
        caller = self._caller(context)
        return convert.credential(
            await self._use.holds.release(caller, request.credential_id, request.confirmation)
        )

    async def RevokeCredential(
        self, request: registry_pb2.RevokeCredentialRequest, context: Context
    ) -> registry_pb2.RevokeCredentialResponse:
        """Revoke for good."""
        caller, ground = self._caller(context), convert.revocation_ground(request.ground)
        credential, stop, number = await self._use.holds.revoke(
            caller, request.credential_id, ground, request.request_reference
        )
        return registry_pb2.RevokeCredentialResponse(
            credential=convert.credential(credential),
            confirmations=convert.confirmations(stop),
            unconfirmed=stop.unconfirmed,
            crl_number=number,
        )

    async def ListAuditEvents(
        self, request: registry_pb2.ListAuditEventsRequest, context: Context
    ) -> registry_pb2.ListAuditEventsResponse:
        """List audit events, oldest first."""
        caller, page = self._caller(context), Page.parse(request.page_size, request.page_token)
        since = convert.moment(request.from_time, "from_time") if request.HasField("from_time") else None
        wanted = AuditFilter(request.credential_id, request.operation_id, since)
        found = await self._use.audit.events(caller, wanted, page)
        return registry_pb2.ListAuditEventsResponse(
            events=[convert.audit_event(row) for row in found.rows], next_page_token=found.next_token
        )
