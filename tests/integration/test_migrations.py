"""Migrations make exactly the tables that the code uses, on both engines, and entries cannot be changed."""

import pytest
import sqlalchemy as sa

from alembic import command
from ledger.errors import Misconfigured
from ledger.services.caller import hash_token, read_callers
from ledger.storage.engine import locked, open_engine
from ledger.storage.schema import alembic_config, check_schema, upgrade_schema
from ledger.storage.tables import CredentialRow, EntryRow, table


def test_migrations_and_tables_agree(engine):
    """`alembic check` finds nothing to migrate after the last migration."""
    with engine.connect() as connection, locked(connection):
        command.check(alembic_config(connection))


def test_a_migrated_database_is_accepted(engine):
    """The schema check passes on a database of this version's shape, and migrating it again changes nothing."""
    check_schema(engine)
    upgrade_schema(engine)
    check_schema(engine)


def test_an_empty_database_is_told_apart(database_url):
    """A database without tables is refused, with what to do."""
    engine = open_engine(database_url)
    with pytest.raises(Misconfigured, match=r"no ledger.*oblik init"):
        check_schema(engine)
    engine.dispose()


@pytest.mark.parametrize(("revision", "message"), [("9999", "newer than this program"), ("0000", "newer")])
def test_a_database_of_another_version_is_told_apart(engine, revision, message):
    """A database that another version wrote is refused, with what to do."""
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    with pytest.raises(Misconfigured, match=message):
        check_schema(engine)


def test_tokens_of_before_work_after_0007(database_url):
    """A credential of a database at 0005 is known by its token's hash afterwards, and is no key."""
    engine = open_engine(database_url)
    with engine.connect() as connection:
        connection.execution_options(lock_head=True)
        with connection.begin():
            command.upgrade(alembic_config(connection), "0005")
            connection.exec_driver_sql(
                "INSERT INTO credential (id, org, holder, holder_type, scopes, token_sha256, expires, seq)"
                f" VALUES ('c', 'o', 'h', 'system', '[]', '{hash_token('old')}', '2027', 3)"
            )
    upgrade_schema(engine)
    with engine.connect() as connection:
        caller = read_callers(connection, [hash_token("old")])[hash_token("old")]
        row = connection.execute(sa.select(table(CredentialRow))).one()
    assert (caller.credential, row.jwk, row.jwk_thumbprint, row.certificate_bound) == ("c", None, None, False)
    engine.dispose()


@pytest.mark.parametrize("statement", ["UPDATE entry SET data = data", "DELETE FROM entry"])
def test_entries_refuse_change(engine, statement):
    """UPDATE and DELETE of entries are refused by trigger."""
    with engine.begin() as connection:
        connection.execute(table(EntryRow).insert(), {"seq": 0, "leaf": bytes(32), "data": b"{}"})
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with engine.connect() as connection:
        assert connection.execute(sa.select(table(EntryRow))).one().data == b"{}"


def test_entries_refuse_truncation(postgres_url):
    """TRUNCATE of entries is refused by trigger on PostgreSQL; SQLite has no such statement."""
    engine = open_engine(postgres_url)
    upgrade_schema(engine)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE entry")
    engine.dispose()
