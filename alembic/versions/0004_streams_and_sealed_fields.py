"""Who may see sealed fields, and which were erased; where streams stood at the latest seal.

Only new projections, empty on an older ledger: `oblik rebuild` has nothing to fill them with.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "disclosure_reader",
        sa.Column("entry", index64, autoincrement=False, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("reader_type", sa.Text(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("entry", "field", "org", "reader_type", "reader"),
    )
    op.create_table(
        "erased_field",
        sa.Column("entry", index64, autoincrement=False, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("entry", "field"),
    )
    op.create_table(
        "stream_seal",
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("slot"),
    )
    op.create_table(
        "sealed_stream",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", index64, autoincrement=False, nullable=False),
        sa.Column("last_seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
