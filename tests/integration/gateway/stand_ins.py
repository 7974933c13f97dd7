"""Small real gRPC servers that stand in for the services: mTLS, the chassis' own interceptors, the contract's stubs.

They answer plausibly, remember what they were asked, and refuse when a test tells them to.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from joserfc import jwt
from joserfc.jwk import ECKey

from kyso.v1 import common_pb2 as common
from kyso.v1 import registry_pb2 as registry
from kyso.v1 import registry_pb2_grpc, signer_pb2_grpc, verifier_pb2_grpc
from kyso.v1 import signer_pb2 as signer
from kyso.v1 import verifier_pb2 as verifier
from services.kernel.errors import DomainError, NotFound, Unauthenticated
from tests.integration.gateway.stand_in_signer import Signer, stamp

CLIENT = "cl_0000000000000000000000test"
SECRET = "correct horse"
ALL_SCOPES = "sign:hash sign:document verify credentials:read credentials:write registry:read registry:write audit:read"


class Tokens(registry_pb2_grpc.TokenServiceServicer):
    """Issues tokens with a key of its own."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})
        self.asked: list[registry.IssueTokenRequest] = []
        self.keys_asked = 0
        self.refuse: DomainError | None = None

    def token(
        self, scope: str = ALL_SCOPES, *, key: ECKey | None = None, typ: str = "at+jwt", **claims: Any
    ) -> str:
        now = int(datetime.now(UTC).timestamp())
        content = {
            "iss": "kyso", "aud": "kyso", "sub": CLIENT, "agency": "ag_1", "scope": scope, "iat": now, "exp": now + 600,
        }  # fmt: skip
        header = {"alg": "ES256", "typ": typ, "kid": "k1"}
        return jwt.encode(header, {**content, **claims}, key or self.key, algorithms=["ES256"])

    async def IssueToken(
        self, request: registry.IssueTokenRequest, context: Any
    ) -> registry.IssueTokenResponse:
        self.asked.append(request)
        if request.WhichOneof("proof") == "client_secret" and request.client_secret != SECRET:
            raise Unauthenticated("the client's proof was refused")
        scope = request.scope or ALL_SCOPES
        return registry.IssueTokenResponse(access_token=self.token(scope), expires_in=600, scope=scope)

    async def GetTokenKeys(self, request: Any, context: Any) -> registry.GetTokenKeysResponse:
        self.keys_asked += 1
        if self.refuse is not None:
            raise self.refuse
        return registry.GetTokenKeysResponse(jwks=json.dumps({"keys": [self.key.as_dict(private=False)]}))


class Verifier(verifier_pb2_grpc.VerifierServiceServicer):
    """Answers one good signature; remembers the order of what it was sent."""

    def __init__(self) -> None:
        self.header: verifier.VerifyDocumentHeader | None = None
        self.document = b""
        self.contents: dict[str, bytes] = {}
        self.originals: list[tuple[str, bytes]] = [("thư.pdf", b"%PDF-original")]

    async def ExamineDocument(self, request_iterator: Any, context: Any) -> Any:
        report = await self._judged(request_iterator)
        header = self.header
        assert header is not None
        kinds = verifier.ExaminationFileKind
        files: list[tuple[Any, str, str, bytes]] = []
        if header.report_form:
            files.append(
                (kinds.EXAMINATION_FILE_KIND_REPORT, "", "text/html; charset=utf-8", b"<p>report</p>")
            )
        if header.include_evidence:
            files.append((kinds.EXAMINATION_FILE_KIND_CERTIFICATE, "", "application/pkix-cert", b"leaf"))
            files.append((kinds.EXAMINATION_FILE_KIND_CRL, "", "application/pkix-crl", bytes(300_000)))
        if header.include_originals:
            report.originals = len(self.originals)
            files += [
                (kinds.EXAMINATION_FILE_KIND_ORIGINAL, n, "application/pdf", d) for n, d in self.originals
            ]
        if header.keep_evidence:
            report.evidence_id = "evd_1"
        yield verifier.ExamineDocumentResponse(report=report)
        for kind, name, media_type, data in files:
            digest = hashlib.sha256(data).digest()
            yield verifier.ExamineDocumentResponse(
                file=verifier.ExaminationFile(
                    kind=kind, name=name, media_type=media_type, size=len(data), sha256=digest
                )
            )
            for offset in range(0, len(data), 100_000):
                yield verifier.ExamineDocumentResponse(chunk=data[offset : offset + 100_000])

    async def _judged(self, request_iterator: Any) -> verifier.VerifyDocumentResponse:
        self.header, self.document, self.contents = None, b"", {}
        name = ""
        async for request in request_iterator:
            match request.WhichOneof("part"):
                case "header":
                    assert self.header is None
                    assert not self.document
                    self.header = request.header
                case "chunk":
                    assert not self.contents
                    self.document += request.chunk
                case "detached_chunk":
                    self.contents[name] += request.detached_chunk
                case "content":
                    name = request.content.name
                    self.contents[name] = b""
        assert self.header is not None
        certificate = verifier.CertificateSummary(
            subject="CN=UBND xã", issuer="CN=CA", serial_number="0a", sha256=b"\x02" * 32, not_before=stamp(),
            identifiers=[verifier.SubjectIdentifier(type="tax", value="0106489944-001", prefix="MST")],
        )  # fmt: skip
        report = verifier.SignatureReport(
            name="Signature1", format="PAdES-B-B", indication=verifier.INDICATION_TOTAL_PASSED, integrity="intact",
            signer=certificate, path=[certificate], claimed_signing_time=stamp(), algorithm="ECDSA/SHA-256",
            coverage=verifier.Coverage(kind="whole_document", covered_bytes=10, total_bytes=10, revision=1),
            sentence_vi="Chữ ký hợp lệ.", sentence_en="The signature is valid.", clean=True,
        )  # fmt: skip
        return verifier.VerifyDocumentResponse(
            verdict=verifier.VERDICT_VALID, clean=True, signatures=[report],
            document_sha256=hashlib.sha256(self.document).digest(), validated_at=stamp(),
            sentence_vi="Hợp lệ.", sentence_en="Valid.", integrity_only=self.header.integrity_only,
        )  # fmt: skip


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """A register with one row of each kind; remembers the last request."""

    def __init__(self) -> None:
        self.last: Any = None

    def _credential(
        self, identifier: str, status: Any = common.CREDENTIAL_STATUS_ACTIVE
    ) -> registry.Credential:
        return registry.Credential(
            id=identifier, agency_id="ag_1", subscriber_id="sub_1", status=status,
            key_algorithm=common.KEY_ALGORITHM_ECDSA_P256, activation=common.ACTIVATION_CLIENT,
            certificate_chain=[b"leaf"], serial_number="0a", not_before=stamp(), not_after=stamp(),
            profile="organization", issuer=registry.ISSUER_KIND_OWN_CA, created_at=stamp(), version=7,
        )  # fmt: skip

    async def CreateCredential(self, request: Any, context: Any) -> registry.Credential:
        self.last = request
        return self._credential("cr_1")

    async def GetCredential(self, request: Any, context: Any) -> registry.Credential:
        if request.id != "cr_1":
            raise NotFound("no such credential")
        return self._credential(request.id)

    async def ListCredentials(self, request: Any, context: Any) -> registry.ListCredentialsResponse:
        self.last = request
        following = "" if request.page_token else "next"
        row = self._credential("cr_1")
        return registry.ListCredentialsResponse(credentials=[row], next_page_token=following)

    async def HoldCredential(self, request: Any, context: Any) -> registry.HoldCredentialResponse:
        self.last = request
        return registry.HoldCredentialResponse(
            credential=self._credential(request.credential_id, common.CREDENTIAL_STATUS_HELD),
            confirmations=[registry.HoldConfirmation(replica="signer-1", milliseconds=3)],
            milliseconds=4,
        )

    async def ReleaseCredential(self, request: Any, context: Any) -> registry.Credential:
        self.last = request
        return self._credential(request.credential_id)

    async def RevokeCredential(self, request: Any, context: Any) -> registry.RevokeCredentialResponse:
        self.last = request
        held = self._credential(request.credential_id, common.CREDENTIAL_STATUS_REVOKED)
        return registry.RevokeCredentialResponse(credential=held, crl_number=2)

    async def GetCertificationRequest(
        self, request: Any, context: Any
    ) -> registry.GetCertificationRequestResponse:
        return registry.GetCertificationRequestResponse(certification_request=b"\x30\x00")

    async def ImportCertificate(self, request: Any, context: Any) -> registry.Credential:
        self.last = request
        return self._credential(request.credential_id)

    def _agency(self) -> registry.Agency:
        return registry.Agency(id="ag_2", parent_id="ag_1", name="UBND xã An Bình", created_at=stamp())

    async def CreateAgency(self, request: Any, context: Any) -> registry.Agency:
        self.last = request
        return self._agency()

    async def GetAgency(self, request: Any, context: Any) -> registry.Agency:
        return self._agency()

    async def ListAgencies(self, request: Any, context: Any) -> registry.ListAgenciesResponse:
        self.last = request
        return registry.ListAgenciesResponse(agencies=[self._agency()])

    def _subscriber(self) -> registry.Subscriber:
        kind = registry.SUBSCRIBER_KIND_ORGANIZATION
        return registry.Subscriber(
            id="sub_1", agency_id="ag_1", kind=kind, name="UBND xã", created_at=stamp()
        )

    async def CreateSubscriber(self, request: Any, context: Any) -> registry.Subscriber:
        self.last = request
        return self._subscriber()

    async def GetSubscriber(self, request: Any, context: Any) -> registry.Subscriber:
        return self._subscriber()

    async def ListSubscribers(self, request: Any, context: Any) -> registry.ListSubscribersResponse:
        return registry.ListSubscribersResponse(subscribers=[self._subscriber()])

    def _client(self, *, enabled: bool = True) -> registry.Client:
        return registry.Client(id="cl_1", agency_id="ag_1", name="Cổng", enabled=enabled, created_at=stamp())

    async def CreateClient(self, request: Any, context: Any) -> registry.CreateClientResponse:
        self.last = request
        return registry.CreateClientResponse(client=self._client(), secret="shown once")

    async def GetClient(self, request: Any, context: Any) -> registry.Client:
        return self._client()

    async def ListClients(self, request: Any, context: Any) -> registry.ListClientsResponse:
        return registry.ListClientsResponse(clients=[self._client()])

    async def SetClientEnabled(self, request: Any, context: Any) -> registry.Client:
        return self._client(enabled=request.enabled)

    async def ListAuditEvents(self, request: Any, context: Any) -> registry.ListAuditEventsResponse:
        self.last = request
        event = registry.AuditEvent(
            id="ev_1",
            position=1,
            type="kyso.signature.completed",
            time=stamp(),
            data='{"outcome":"completed"}',
        )
        return registry.ListAuditEventsResponse(events=[event])


class Evidence(registry_pb2_grpc.EvidenceServiceServicer):
    """Keeps one verification's evidence; remembers what was asked."""

    def __init__(self) -> None:
        self.last: Any = None
        self.deleted: list[str] = []
        self.crl = bytes(300_000)

    def _kept(self) -> registry.Evidence:
        file = registry.EvidenceFile(
            kind=registry.EVIDENCE_FILE_KIND_CRL,
            sha256=hashlib.sha256(self.crl).digest(),
            size=len(self.crl),
        )
        return registry.Evidence(
            id="evd_1", agency_id="ag_1", client_id=CLIENT, document_sha256=bytes(32), verdict="valid",
            validated_at=stamp(), kept_at=stamp(), reference="HS-1", files=[file],
        )  # fmt: skip

    async def GetEvidence(self, request: Any, context: Any) -> registry.Evidence:
        if request.id != "evd_1":
            raise NotFound("no such evidence")
        return self._kept()

    async def ListEvidence(self, request: Any, context: Any) -> registry.ListEvidenceResponse:
        self.last = request
        return registry.ListEvidenceResponse(evidence=[self._kept()])

    async def FetchEvidenceFile(self, request: Any, context: Any) -> Any:
        (file,) = self._kept().files
        if request.sha256 != file.sha256:
            raise NotFound("no such file")
        yield registry.FetchEvidenceFileResponse(file=file)
        for offset in range(0, len(self.crl), 200_000):
            yield registry.FetchEvidenceFileResponse(chunk=self.crl[offset : offset + 200_000])

    async def DeleteEvidence(self, request: Any, context: Any) -> registry.DeleteEvidenceResponse:
        self.deleted.append(request.id)
        return registry.DeleteEvidenceResponse()


class Pki(registry_pb2_grpc.PkiServiceServicer):
    """Publishes a CRL whose bytes are its number."""

    def __init__(self) -> None:
        self.number = 1

    async def GetCrl(self, request: Any, context: Any) -> registry.GetCrlResponse:
        if request.ca not in {"root", "issuing"}:
            raise NotFound("no such CA")
        now = datetime.now(UTC)
        return registry.GetCrlResponse(
            crl=b"crl %d" % self.number, this_update=stamp(now), next_update=stamp(now + timedelta(hours=1))
        )

    async def GetCaCertificate(self, request: Any, context: Any) -> registry.GetCaCertificateResponse:
        return registry.GetCaCertificateResponse(certificate=b"certificate of " + request.ca.encode())


class StandIns:
    """All services on one server."""

    def __init__(self) -> None:
        # The gateway calls only what is there; the chassis answers UNIMPLEMENTED for the rest.
        self.signer = Signer()  # type: ignore[abstract]
        self.pki = Pki()  # type: ignore[abstract]
        self.verifier = Verifier()  # type: ignore[abstract]
        self.evidence = Evidence()  # type: ignore[abstract]
        self.tokens, self.registry = Tokens(), Registry()

    def add(self, server: grpc.aio.Server) -> None:
        registry_pb2_grpc.add_TokenServiceServicer_to_server(self.tokens, server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self.registry, server)
        registry_pb2_grpc.add_PkiServiceServicer_to_server(self.pki, server)
        registry_pb2_grpc.add_EvidenceServiceServicer_to_server(self.evidence, server)
        signer_pb2_grpc.add_SignerServiceServicer_to_server(self.signer, server)
        verifier_pb2_grpc.add_VerifierServiceServicer_to_server(self.verifier, server)

    @staticmethod
    def allow() -> dict[str, frozenset[str]]:
        files = (registry.DESCRIPTOR, signer.DESCRIPTOR, verifier.DESCRIPTOR)
        return {
            f"/{service.full_name}/{method.name}": frozenset({"gateway"})
            for file in files
            for service in file.services_by_name.values()
            for method in service.methods
        }
