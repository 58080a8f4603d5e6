"""SQLite keeps the heads of streams in one tree, by name, and not in a table and an index: each batch writes many.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(
        "CREATE TABLE stream_by_name (name TEXT NOT NULL, size INTEGER NOT NULL, last_seq INTEGER NOT NULL,"
        " PRIMARY KEY (name)) WITHOUT ROWID"
    )
    op.execute("INSERT INTO stream_by_name SELECT name, size, last_seq FROM stream ORDER BY name")
    op.drop_table("stream")
    op.rename_table("stream_by_name", "stream")
