"""The faces for the other services: tokens, directory, PKI. Their callers are known by certificate, not by token."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import grpc

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import FieldInvalid
from services.registry.service.authorities import AuthorityService
from services.registry.service.directory import DirectoryService
from services.registry.service.time_stamps import TimeStampCertificates
from services.registry.service.tokens import TokenRequest, TokenService
from services.registry.servicer import convert

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_REPLICA = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TokenServicer(registry_pb2_grpc.TokenServiceServicer):
    """TokenService."""

    def __init__(self, tokens: TokenService) -> None:
        """Bind the use case."""
        self._tokens = tokens

    async def IssueToken(
        self, request: registry_pb2.IssueTokenRequest, _context: Context
    ) -> registry_pb2.IssueTokenResponse:
        """Issue an access token."""
        if not request.client_secret and not request.client_assertion:
            raise FieldInvalid("send a client secret or a client assertion", field="proof")
        issued = await self._tokens.issue(
            TokenRequest(
                client_id=request.client_id,
                secret=request.client_secret,
                assertion=request.client_assertion,
                scope=request.scope,
                token_endpoint=request.token_endpoint,
            )
        )
        return registry_pb2.IssueTokenResponse(
            access_token=issued.access_token, expires_in=issued.expires_in, scope=issued.scope
        )

    async def GetTokenKeys(
        self, _request: registry_pb2.GetTokenKeysRequest, _context: Context
    ) -> registry_pb2.GetTokenKeysResponse:
        """Answer the public keys."""
        return registry_pb2.GetTokenKeysResponse(jwks=self._tokens.jwks)


class DirectoryServicer(registry_pb2_grpc.DirectoryServiceServicer):
    """DirectoryService."""

    def __init__(self, directory: DirectoryService) -> None:
        """Bind the use case."""
        self._directory = directory

    async def ResolveCredential(
        self, request: registry_pb2.ResolveCredentialRequest, _context: Context
    ) -> registry_pb2.ResolveCredentialResponse:
        """Answer a credential's present state; the reader is recorded whether it keeps the answer or not."""
        if not _REPLICA.fullmatch(request.replica):
            raise FieldInvalid("replica is required: 1 to 64 letters, digits, '.', '_', '-'", field="replica")
        return convert.resolution(await self._directory.resolve(request.credential_id[:64], request.replica))


class PkiServicer(registry_pb2_grpc.PkiServiceServicer):
    """PkiService."""

    def __init__(
        self,
        authorities: AuthorityService,
        time_stamps: TimeStampCertificates,
        clock: Callable[[], datetime],
    ) -> None:
        """Bind the use cases and the clock that dates what was read."""
        self._authorities, self._time_stamps, self._clock = authorities, time_stamps, clock

    async def GetCrl(
        self, request: registry_pb2.GetCrlRequest, _context: Context
    ) -> registry_pb2.GetCrlResponse:
        """Answer the newest CRL."""
        crl = await self._authorities.crl(request.ca)
        return registry_pb2.GetCrlResponse(
            crl=crl.der,
            this_update=convert.timestamp(crl.this_update),
            next_update=convert.timestamp(crl.next_update),
        )

    async def GetCaCertificate(
        self, request: registry_pb2.GetCaCertificateRequest, _context: Context
    ) -> registry_pb2.GetCaCertificateResponse:
        """Answer a CA's certificate."""
        return registry_pb2.GetCaCertificateResponse(
            certificate=await self._authorities.certificate(request.ca)
        )

    async def GetTimeStampCertificate(
        self, request: registry_pb2.GetTimeStampCertificateRequest, _context: Context
    ) -> registry_pb2.GetTimeStampCertificateResponse:
        """Answer the certificate of our own time-stamp unit."""
        return registry_pb2.GetTimeStampCertificateResponse(
            certificate_chain=await self._time_stamps.chain(request.name)
        )

    async def GetTrust(
        self, _request: registry_pb2.GetTrustRequest, _context: Context
    ) -> registry_pb2.GetTrustResponse:
        """Answer anchors, CA certificates and CRLs."""
        read_at = self._clock()
        trust = await self._authorities.trust()
        return registry_pb2.GetTrustResponse(
            anchors=[convert.anchor(one) for one in trust.anchors],
            intermediates=trust.intermediates,
            crls=trust.crls,
            read_at=convert.timestamp(read_at),
            trust_lists=[
                registry_pb2.TrustListState(
                    name=one.name,
                    sequence_number=one.head.sequence_number,
                    next_update=convert.when(one.next_update),
                )
                for one in trust.lists
            ],
        )
