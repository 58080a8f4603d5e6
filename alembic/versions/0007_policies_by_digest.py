"""Policies that were in force, by digest, and policies that are proposed.

Of those adopted before this ran, only the one in force is there at once: `oblik rebuild` adds the others.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "adopted_policy",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("rows_sha256", sa.Text(), nullable=False),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.execute(
        "INSERT INTO adopted_policy (digest, name, model_sha256, rows_sha256, seq)"
        " SELECT digest, name, model_sha256, rows_sha256, seq FROM policy"
    )
    op.create_table(
        "policy_proposal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("rows_sha256", sa.Text(), nullable=False),
        sa.Column("dry_run_sha256", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
