"""A credential may be a system's public key instead of a token; client assertions that were used are remembered.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE credential RENAME COLUMN token_sha256 TO known_by")
    op.add_column("credential", sa.Column("jwk", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("jwk_thumbprint", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("certificate_bound", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("credential_by_key", "credential", ["jwk_thumbprint"], unique=True)
    op.create_table(
        "used_assertion",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("ends", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("client", "jti"),
    )
    op.create_index("ix_used_assertion_ends", "used_assertion", ["ends"])
