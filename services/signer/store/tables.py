"""The signer's tables. Times are microseconds since 1970 UTC: one integer that both databases keep alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from services.kernel.runtime.outbox import outbox_table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Return an aware time as microseconds since 1970 UTC."""
    return (time - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the time that `micros` turned into a number."""
    return _EPOCH + value * _MICROSECOND


metadata = MetaData()

key = Table(
    "key",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("credential_id", String(64), nullable=False, unique=True),
    Column("algorithm", String(32), nullable=False),
    Column("token_group", String(64), nullable=False),
    Column("cka_id", LargeBinary(64), nullable=False),
    Column("spki", LargeBinary(2048), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

authority_key = Table(
    "authority_key",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("algorithm", String(32), nullable=False),
    Column("token_group", String(64), nullable=False),
    Column("cka_id", LargeBinary(64), nullable=False),
    Column("spki", LargeBinary(2048), nullable=False),
    Column("subject", LargeBinary(4096)),  # DER Name of the CA, known once its certificate was signed
    Column("created_at", BigInteger, nullable=False),
)

certificate_chain = Table(
    "certificate_chain",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("certificates", LargeBinary, nullable=False),
)

signing = Table(
    "signing",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("idempotency_key", String(128), nullable=False),
    Column("request_sha256", LargeBinary(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("credential_id", String(64), nullable=False),
    Column("facts", Text, nullable=False),
    Column("lease_owner", String(64), nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_event", String(64)),
    Column("result", LargeBinary),
    Column("chain_sha256", LargeBinary(32)),
    Column("algorithm", String(32)),
    Column("signing_time", BigInteger),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("error_retryable", Boolean),
    UniqueConstraint("client_id", "idempotency_key", name="signing_once"),
)
_is_open = signing.c.state.in_(["accepted", "begun"])
Index(
    "signing_open",
    signing.c.state,
    signing.c.lease_until,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)

ledger = Table(
    "ledger",
    metadata,
    Column("ledger", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("event_id", String(64), nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("operation_id", String(64), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("agency_id", String(64), nullable=False),
    Column("request", Text, nullable=False),  # the accepted request as JSON, without the document
    Column("job_id", String(64), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("document_blob", String(64)),
    Column("result_blob", String(64)),
    Column("expires_at", BigInteger, nullable=False),
)

blob = Table(
    "blob",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("content_key", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("blob_expires", "expires_at"),
)

# Which numbers the next block begins with, and the newest genTime known when the last one was given.
time_stamp_serial = Table(
    "time_stamp_serial",
    metadata,
    Column("authority", String(64), primary_key=True),
    Column("next_number", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
)

outbox = outbox_table(metadata)
