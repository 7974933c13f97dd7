"""Alembic's entry: the kernel runs the revisions in versions/."""

from services.kernel.runtime.migrations import run_migrations
from services.signer.store.tables import metadata

run_migrations(metadata)
