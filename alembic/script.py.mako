"""${message}

Safety, before this runs on a ledger that matters:
- `entry`, `head`, `subtree`, `attachment` and `disclosure` are the ledger: add to them, never drop, rename or rewrite.
- Projections may be dropped and made anew; `oblik rebuild` fills them. Say so in the changelog.
- New columns are nullable or have a server default: an older process may still be writing.
- It runs on SQLite and on PostgreSQL, in one transaction, and takes no lock on `entry` for longer than a moment:
  no rewrite of the table, no index on it without CONCURRENTLY in a migration of its own.
- There is no downgrade: a ledger only goes forward. Restore a backup instead, and let witnesses tell.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
