"""PostgreSQL as `docs/operations.md` sets it up: an owner, a service that changes no entry, an auditor that only reads.

The statements are the document's own, with other names and passwords, since roles belong to the whole server.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import snippets
import sqlalchemy as sa

from ledger.cli.inputs import example_inputs
from ledger.cli.story import Story
from ledger.services.sealing import NOTHING_SEALED, SealedFields, check_disclosures
from ledger.storage.engine import open_engine
from ledger.storage.tables import SQLModel

pytestmark = pytest.mark.postgres

INSUFFICIENT_PRIVILEGE = "42501"
ROLES, GRANTS = snippets.blocks(snippets.read("docs/operations.md"), "sql")
ADMINISTRATOR = "v.melnyk"


@dataclass
class Installation:
    """A ledger opened by its owner, with the document's grants."""

    data: Path
    owner: str
    service: str
    auditor: str
    token: str


def statements(text: str) -> list[str]:
    """Part SQL into statements, without comments."""
    return [part.strip() for part in re.sub(r"--.*", "", text).split(";") if part.strip()]


def oblik(*arguments: str, data: Path, url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OBLIK_DATA": str(data), "OBLIK_DATABASE_URL": url}
    command = [sys.executable, "-m", "ledger.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def serving(installation: Installation) -> Iterator[str]:
    """Run `oblik serve` under the service's role, in a process of its own."""
    port = snippets.free_port()
    environment = {**os.environ, "OBLIK_DATA": str(installation.data), "OBLIK_DATABASE_URL": installation.service}
    command = [sys.executable, "-m", "ledger.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            snippets.wait_until_up(f"http://127.0.0.1:{port}/healthz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture
def installation(postgres_url: str, tmp_path: Path) -> Iterator[Installation]:
    """Set up a database as the document says."""
    suffix = secrets.token_hex(4)
    named = {name: f"{name}_{suffix}" for name in ("oblik_owner", "oblik_service", "oblik_auditor")}
    superuser = sa.make_url(postgres_url)
    engine = open_engine(postgres_url)

    def run(text: str) -> None:
        for name, own in named.items():
            text = re.sub(rf"\b{name}\b", own, text)
        with engine.begin() as connection:
            for statement in statements(text):
                connection.exec_driver_sql(statement)

    run(re.sub(r"CREATE DATABASE oblik OWNER (\w+)", rf"ALTER DATABASE {superuser.database} OWNER TO \1", ROLES))
    passwords = dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(.*?)'", ROLES))
    urls = {
        name: superuser.set(username=own, password=passwords[name]).render_as_string(hide_password=False)
        for name, own in named.items()
    }
    opening = ("init", "--origin", "roles.oblik.example/ledger", "--owner", "mod-ua", "--administrator", ADMINISTRATOR)
    opened = oblik(*opening, data=tmp_path, url=urls["oblik_owner"])
    token = re.search(r"oblik_\S{43}$", opened.stdout)
    assert token is not None, opened.stderr
    run(f"SET ROLE oblik_owner; {GRANTS}; RESET ROLE")
    yield Installation(tmp_path, urls["oblik_owner"], urls["oblik_service"], urls["oblik_auditor"], token[0])
    with engine.begin() as connection:
        for own in named.values():
            connection.exec_driver_sql(f"REASSIGN OWNED BY {own} TO CURRENT_USER")
            connection.exec_driver_sql(f"DROP OWNED BY {own}")
            connection.exec_driver_sql(f"DROP ROLE {own}")
    engine.dispose()


def not_refused(url: str, tried: list[str]) -> list[str]:
    """Give those statements that were not refused for want of a privilege."""
    engine, passed = open_engine(url), []
    for statement in tried:
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(statement)
            passed.append(statement)
        except sa.exc.DBAPIError as error:
            if error.orig is None or getattr(error.orig, "sqlstate", "") != INSUFFICIENT_PRIVILEGE:
                passed.append(f"{statement}: {error.orig}")
    engine.dispose()
    return passed


def test_the_whole_story_is_played_under_the_service_role(installation):
    """Under the document's grants the service does all that the story asks for; the auditor verifies and replays it."""
    with serving(installation) as address, httpx.Client(base_url=address, timeout=30) as http:
        now = datetime.now(UTC)
        inputs = example_inputs()
        Story(http, administrator=ADMINISTRATOR, token=installation.token, inputs=inputs, now=now).play()
    verified = oblik("verify", installation.auditor, data=installation.data, url="")
    assert (verified.returncode, verified.stderr) == (0, "")
    replayed = oblik("replay", installation.auditor, data=installation.data, url="")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert replayed.stdout.endswith(" 0 findings\n")


def test_the_service_role_changes_no_entry(installation):
    """Each way to change, remove or unguard an entry is refused to the service's role by the database itself."""
    tried = [
        "UPDATE entry SET data = data",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "DROP TABLE entry",
        "ALTER TABLE entry DISABLE TRIGGER ALL",
        "DROP TRIGGER entry_no_change ON entry",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "SET session_replication_role = replica",
        "CREATE TABLE public.entry2 (seq int)",
    ]
    assert not_refused(installation.service, tried) == []


@pytest.mark.parametrize("name", ["subtree", "attachment"])
def test_the_service_role_changes_nothing_beside_the_entries(installation, name):
    """What lies beside the entries can be added to by the service's role, and not changed or removed."""
    column = "hash" if name == "subtree" else "data"
    tried = [f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}", f"TRUNCATE {name}", f"DROP TABLE {name}"]
    assert not_refused(installation.service, tried) == []


def test_the_service_role_erases_what_was_sealed_and_changes_none_of_it(installation):
    """A disclosure can be added and deleted by the service's role, and not replaced by another."""
    tried = ["UPDATE disclosure SET data = data", "TRUNCATE disclosure", "DROP TABLE disclosure"]
    assert not_refused(installation.service, tried) == []
    assert not_refused(installation.service, ["DELETE FROM disclosure"]) == ["DELETE FROM disclosure"]


def test_the_check_of_disclosures_asks_what_its_role_may_see(installation):
    """For the auditor's role there is nothing to check, and no fault; the service's role checks what is kept."""
    for url in (installation.auditor, installation.service):
        engine = open_engine(url)
        with engine.connect() as connection:
            assert check_disclosures(connection, SealedFields()) == NOTHING_SEALED
        engine.dispose()


def test_the_service_role_neither_opens_nor_moves_a_ledger(installation):
    """The head row is neither added nor removed, and the schema's version not changed, by the service's role."""
    tried = [
        "INSERT INTO head (id, size, leaf, edge, state_seq, at) VALUES (1, 0, '', '', -1, '')",
        "DELETE FROM head",
        "UPDATE alembic_version SET version_num = version_num",
    ]
    assert not_refused(installation.service, tried) == []


def test_the_auditor_role_reads_and_nothing_more(installation):
    """The auditor's role adds nothing anywhere, and does not see what was sealed."""
    tried = ["SELECT * FROM disclosure", "INSERT INTO entry SELECT * FROM entry", "UPDATE head SET size = size"]
    assert not_refused(installation.auditor, tried) == []


def test_the_grants_name_every_table():
    """Each table of the code has its grants in the document, so that one that is added is not forgotten there."""
    granted = {
        name
        for names in re.findall(r"GRANT [A-Z, ]+ ON (?!SCHEMA)([\w,\s]+?) TO oblik_service", GRANTS)
        for name in re.findall(r"\w+", names)
    }
    assert {*SQLModel.metadata.tables, "alembic_version"} == granted
