"""Pauses, incidents that block, special authorisations, attestations, and runs counted under grants.

New projections are empty on an older ledger, and new columns have the value that an older entry gives them: `oblik
rebuild` has nothing to fill them with.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEX64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "restraint",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("concerns", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("lifted_seq", INDEX64, autoincrement=False, nullable=True),
        sa.Column("seq", INDEX64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("restraint_in_force", "restraint", ["lifted_seq"])
    op.create_table(
        "incident",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("concerns", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seq", INDEX64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "authorisation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("ends", sa.Text(), nullable=False),
        sa.Column("withdrawn_seq", INDEX64, autoincrement=False, nullable=True),
        sa.Column("seq", INDEX64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("authorisation_by_org", "authorisation", ["org"])
    op.create_table(
        "attestation",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("ends", sa.Text(), nullable=False),
        sa.Column("withdrawn_seq", INDEX64, autoincrement=False, nullable=True),
        sa.Column("seq", INDEX64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("org", "environment"),
    )
    _add_columns()


def _add_columns() -> None:
    op.add_column(
        "purpose", sa.Column("special_authorisation", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("purpose", sa.Column("authorisation_at", sa.Text(), nullable=True))
    op.add_column("access_grant", sa.Column("runs", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("access_grant", sa.Column("runs_open", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("access_grant", sa.Column("runs_seq", INDEX64, autoincrement=False, nullable=True))
    op.add_column("run", sa.Column("grants", sa.Text(), nullable=False, server_default="[]"))
