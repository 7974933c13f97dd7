"""Serial numbers of time-stamps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "time_stamp_serial",
        sa.Column("authority", sa.String(64), primary_key=True),
        sa.Column("next_number", sa.BigInteger, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
    )
