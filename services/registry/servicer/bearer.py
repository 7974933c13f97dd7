"""Who calls: the client that the access token in a call's metadata names."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc

from services.kernel.errors import Unauthenticated
from services.registry.domain.access import Caller
from services.registry.service.tokens import TokenService

# Text, because the class is generic for the type checker only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_BEARER = "bearer "


def caller_of(tokens: TokenService, context: Context) -> Caller:
    """Return the caller; raise Unauthenticated without a token, TokenInvalid or TokenExpired for one that does not hold."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == _BEARER:
            return tokens.verify(value[7:].strip())
    raise Unauthenticated('send an access token: metadata "authorization: Bearer <token>"')
