"""Keys, signing operations, ledger, jobs, payload records and the outbox."""

import sqlalchemy as sa
from alembic import op

from services.kernel.runtime.outbox import outbox_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _keys()
    _operations()
    _ledger()
    _jobs()
    outbox_table(sa.MetaData()).create(op.get_bind())


def _keys() -> None:
    op.create_table(
        "key",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("credential_id", sa.String(64), nullable=False, unique=True),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("token_group", sa.String(64), nullable=False),
        sa.Column("cka_id", sa.LargeBinary(64), nullable=False),
        sa.Column("spki", sa.LargeBinary(2048), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "authority_key",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("token_group", sa.String(64), nullable=False),
        sa.Column("cka_id", sa.LargeBinary(64), nullable=False),
        sa.Column("spki", sa.LargeBinary(2048), nullable=False),
        sa.Column("subject", sa.LargeBinary(4096)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "certificate_chain",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("certificates", sa.LargeBinary, nullable=False),
    )


def _operations() -> None:
    op.create_table(
        "signing",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_event", sa.String(64)),
        sa.Column("result", sa.LargeBinary),
        sa.Column("chain_sha256", sa.LargeBinary(32)),
        sa.Column("algorithm", sa.String(32)),
        sa.Column("signing_time", sa.BigInteger),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("error_retryable", sa.Boolean),
        sa.UniqueConstraint("client_id", "idempotency_key", name="signing_once"),
    )
    is_open = sa.text("state IN ('accepted', 'begun')")
    op.create_index(
        "signing_open", "signing", ["state", "lease_until"], sqlite_where=is_open, postgresql_where=is_open
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("ledger", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.String(64), nullable=False),
    )


def _jobs() -> None:
    op.create_table(
        "job",
        sa.Column("operation_id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("agency_id", sa.String(64), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("document_blob", sa.String(64)),
        sa.Column("result_blob", sa.String(64)),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "blob",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("content_key", sa.LargeBinary(32), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("blob_expires", "blob", ["expires_at"])
