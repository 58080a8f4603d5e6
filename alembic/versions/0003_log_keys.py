"""The log's keys, as a projection; those of a ledger that is there already come from its first entry.

Revision ID: 0003
Revises: 0002
"""

import json

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    log_key = op.create_table(
        "log_key",
        sa.Column("vkey", sa.Text(), nullable=False),
        sa.Column("retired_seq", index64, autoincrement=False, nullable=True),
        sa.Column("seq", index64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("vkey"),
    )
    first = op.get_bind().execute(sa.text("SELECT data FROM entry WHERE seq = 0")).scalar()
    if first is not None:
        vkeys = json.loads(bytes(first))["body"]["vkeys"]
        op.bulk_insert(log_key, [{"vkey": vkey, "retired_seq": None, "seq": 0} for vkey in vkeys])
