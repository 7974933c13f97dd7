"""Evidence of verifications."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("agency_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("document_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["agency_id"], ["agency.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("evidence_by_agency", "evidence", ["agency_id", "id"])
    op.create_index("evidence_by_document", "evidence", ["agency_id", "document_sha256"])
    op.create_index("evidence_by_age", "evidence", ["kept_at"])
    op.create_table(
        "evidence_blob",
        sa.Column("agency_id", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("agency_id", "sha256"),
    )
    op.create_table(
        "evidence_file",
        sa.Column("evidence_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("agency_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["evidence_id"], ["evidence.id"]),
        sa.ForeignKeyConstraint(
            ["agency_id", "sha256"],
            ["evidence_blob.agency_id", "evidence_blob.sha256"],
            name="evidence_file_has_bytes",
        ),
        sa.PrimaryKeyConstraint("evidence_id", "position"),
    )
    op.create_index("evidence_file_by_blob", "evidence_file", ["agency_id", "sha256"])
