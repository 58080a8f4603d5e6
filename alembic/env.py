"""Runs migrations on the connection that the program hands over, or on OBLIK_DATABASE_URL from the command line."""

import os

from alembic import context
from ledger.storage import tables
from ledger.storage.engine import open_engine

metadata = tables.SQLModel.metadata


def run(connection) -> None:
    """Run on one connection, in the transaction that is open on it."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        include_object=lambda _object, name, kind, _reflected, _other: kind != "table" or name in metadata.tables,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = os.environ.get("OBLIK_DATABASE_URL")
    if not url:
        raise SystemExit("set OBLIK_DATABASE_URL, or use `oblik upgrade`")
    with open_engine(url).connect() as connection:
        connection.execution_options(lock_head=True)
        with connection.begin():
            run(connection)
