"""The registry's tables. Revisions in `migrations/` make them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from services.kernel.runtime.outbox import outbox_table

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps times without their zone, so it is taken off and put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without zone: it would be read back as another moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times are kept with their zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the same moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id(name: str = "id") -> Column[str]:
    return Column(name, String(64), primary_key=True)


agency = Table(
    "agency",
    metadata,
    _id(),
    Column("parent_id", String(64), ForeignKey("agency.id")),
    Column("name", String(200), nullable=False),
    Column("organ_id", String(13), unique=True),
    # "/ag_1/ag_2/": every ancestor from the root down and the agency itself.
    Column("path", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

subscriber = Table(
    "subscriber",
    metadata,
    _id(),
    Column("agency_id", String(64), ForeignKey("agency.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("tax_code", String(14), nullable=False),
    Column("citizen_number", String(12), nullable=False),
    Column("email", String(254), nullable=False),
    Column("title", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
)

client = Table(
    "client",
    metadata,
    _id(),
    Column("agency_id", String(64), ForeignKey("agency.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("document_types", Text, nullable=False),
    Column("label_required", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("secret_salt", LargeBinary),
    Column("secret_hash", LargeBinary),
    Column("jwks", Text, nullable=False),
    # JSON list: the clients that made it, from the first down.
    Column("makers", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

# Assertions (RFC 7523) already used, kept while they could still be replayed.
assertion = Table(
    "assertion",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", Moment, nullable=False, index=True),
)

credential = Table(
    "credential",
    metadata,
    _id(),
    Column("agency_id", String(64), ForeignKey("agency.id"), nullable=False, index=True),
    Column("subscriber_id", String(64), ForeignKey("subscriber.id"), nullable=False, index=True),
    Column("status", String(20), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("key_algorithm", String(20), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("spki", LargeBinary, nullable=False),
    Column("activation", String(20), nullable=False),
    Column("client_ids", Text, nullable=False),
    Column("issuer", String(20), nullable=False),
    Column("profile", String(40), nullable=False),
    Column("validity_days", Integer, nullable=False),
    # No foreign key: certificate names credential, and one of the two must come first.
    Column("certificate_id", String(64)),
    # True until everything that its making takes is done: what the reconcile loop looks for.
    Column("unfinished", Boolean, nullable=False, index=True),
    # How often that loop failed with it, and when it may try again: the longest waiting first.
    Column("tries", Integer, nullable=False),
    Column("next_try_at", Moment, nullable=False),
    Column("request_client_id", String(64), nullable=False),
    Column("idempotency_key", String(128), nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("request_client_id", "idempotency_key", name="credential_made_once"),
)

certificate = Table(
    "certificate",
    metadata,
    _id(),
    Column("credential_id", String(64), ForeignKey("credential.id"), nullable=False, index=True),
    Column("issuer_id", String(80), nullable=False),
    Column("serial_number", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("tbs", LargeBinary, nullable=False),
    # JSON list of base64, leaf first, without the root; empty text until it is issued.
    Column("chain", Text, nullable=False),
    Column("reserved_at", Moment, nullable=False),
    Column("issued_at", Moment),
    Column("revoked_at", Moment),
    Column("revocation_ground", String(40)),
    Column("revocation_reference", String(200)),
    # Number of the first published CRL that lists it; none while it waits for one.
    Column("listed_in", BigInteger),
    UniqueConstraint("issuer_id", "serial_number", name="certificate_serial_once"),
    Index("certificate_revoked", "issuer_id", "revoked_at"),
    Index("certificate_unlisted", "issuer_id", "listed_in", "revoked_at"),
)

credential_hold = Table(
    "credential_hold",
    metadata,
    _id(),
    Column("credential_id", String(64), ForeignKey("credential.id"), nullable=False, index=True),
    Column("client_id", String(64), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("suspected_since", Moment),
    Column("reporter", String(200), nullable=False),
    Column("held_at", Moment, nullable=False),
    Column("released_at", Moment),
    Column("released_by", String(64)),
    Column("confirmation", String(200)),
)

# Which signer replicas may hold or be using a credential's state: those that must confirm a hold.
credential_reader = Table(
    "credential_reader",
    metadata,
    Column("credential_id", String(64), primary_key=True),
    Column("replica", String(64), primary_key=True),
    Column("read_at", Moment, nullable=False),
)

authority = Table(
    "authority",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("algorithm", String(20), nullable=False),
    Column("issuer", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("serial_number", String(64), nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("tbs", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("issuer", "serial_number", name="authority_serial_once"),
)

crl = Table(
    "crl",
    metadata,
    Column("authority", String(20), ForeignKey("authority.name"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("this_update", Moment, nullable=False),
    Column("next_update", Moment, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("tbs", LargeBinary, nullable=False),
    # Empty until it is signed.
    Column("der", LargeBinary, nullable=False),
)

# Issued by our issuing CA to our own time-stamp key; a key has several, one after the other.
time_stamp_certificate = Table(
    "time_stamp_certificate",
    metadata,
    Column("serial_number", String(64), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("tbs", LargeBinary, nullable=False),
    # Empty until it is signed.
    Column("certificate", LargeBinary, nullable=False),
    Column("reserved_at", Moment, nullable=False),
    Column("issued_at", Moment),
    Index("time_stamp_certificate_by_key", "key", "state"),
)

# Numbers without gaps, taken in the transaction that uses them: "directory" (the head), "audit" (the last position).
counter = Table(
    "counter",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("type", String(64), nullable=False),
    Column("agency_id", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("credential_id", String(64), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("time", Moment, nullable=False),
    Column("ledger", String(64)),
    Column("ledger_sequence", BigInteger),
    Column("entry_hash", LargeBinary),
    Column("intact", Boolean, nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("ledger", "ledger_sequence", name="audit_ledger_entry_once"),
    Index("audit_by_agency", "agency_id", "position"),
    Index("audit_by_credential", "credential_id", "position"),
    Index("audit_by_operation", "operation_id"),
)

# How far each signer's ledger is taken in without a gap.
audit_ledger = Table(
    "audit_ledger",
    metadata,
    Column("ledger", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# What verifications went by, where a client had it kept. The id is made of what is kept.
evidence = Table(
    "evidence",
    metadata,
    _id(),
    Column("agency_id", String(64), ForeignKey("agency.id"), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("document_sha256", LargeBinary, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("validated_at", Moment, nullable=False),
    Column("kept_at", Moment, nullable=False),
    Column("reference", String(200), nullable=False),
    Index("evidence_by_agency", "agency_id", "id"),
    Index("evidence_by_document", "agency_id", "document_sha256"),
    Index("evidence_by_age", "kept_at"),
)

# Bytes of evidence, once for each agency: the same CRL serves many verifications.
evidence_blob = Table(
    "evidence_blob",
    metadata,
    Column("agency_id", String(64), primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

evidence_file = Table(
    "evidence_file",
    metadata,
    Column("evidence_id", String(64), ForeignKey("evidence.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("agency_id", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["agency_id", "sha256"],
        ["evidence_blob.agency_id", "evidence_blob.sha256"],
        name="evidence_file_has_bytes",
    ),
    Index("evidence_file_by_blob", "agency_id", "sha256"),
)

# The newest trust list that was taken under each name: none that is older is taken again.
trust_list = Table(
    "trust_list",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("operator", Text, nullable=False),
    Column("sequence_number", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

outbox = outbox_table(metadata)
