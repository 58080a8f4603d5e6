"""Policies that decide on resources of other types, as a projection; systems are found by their names.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXTS = ("digest", "resource_types", "model_sha256", "rows_sha256", "mount_sha256", "facts_sha256")


def upgrade() -> None:
    index64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "mounted_policy",
        sa.Column("name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("credential_by_holder", "credential", ["holder_type", "org", "holder"])
