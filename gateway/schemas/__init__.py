"""JSON Schemas (2020-12) of the bodies: the component schemas of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.schemas.registry import LIST_SCHEMAS, REGISTRY_SCHEMAS
from gateway.schemas.signing import ERROR_SCHEMAS, OPTION_SCHEMAS, SIGNING_SCHEMAS
from gateway.schemas.verification import VERIFICATION_SCHEMAS
from gateway.schemas.words import SCOPES, Schema, ref, text

__all__ = ["SCHEMAS", "SCOPES", "ref", "text"]

SCHEMAS: Mapping[str, Schema] = {
    **ERROR_SCHEMAS,
    **SIGNING_SCHEMAS,
    **OPTION_SCHEMAS,
    **REGISTRY_SCHEMAS,
    **VERIFICATION_SCHEMAS,
    **LIST_SCHEMAS,
}
