"""Facts are found through indexes, however many grants there are."""

import re

import pytest
import sqlalchemy as sa
from world import FIRST_DAY, LAST_DAY, OWNER, World, closed_purpose, question

from ledger.services.decisions import Evaluator
from ledger.storage.engine import locked
from ledger.storage.tables import AttestationRow, AuthorisationRow, GrantRow, RestraintRow, table

MANY = 20_000


def lifted(number: int) -> dict:
    """Give the row of a pause that is over."""
    texts = dict.fromkeys(("target", "concerns", "quorum", "placed_by"), "[]")
    return {"id": f"pause:{number}", "kind": "pause", "scope": "grant", "lifted_seq": number, "seq": number, **texts}


VALID = {"starts": FIRST_DAY, "ends": LAST_DAY, "withdrawn_seq": None}


def authorisation(number: int) -> dict:
    """Give the row of one of four authorisations of an organisation."""
    return {"id": f"a{number}", "org": f"org-{number // 4}", "purpose": "humanitarian", "seq": number, **VALID}


def attestation(number: int) -> dict:
    """Give the row of an attestation of one of four environments of an organisation."""
    place = {"org": f"org-{number // 4}", "environment": f"e{number % 4}"}
    return {**place, "kind": "enclave", "country": "JPN", "seq": number, **VALID}


@pytest.fixture
def plans(world: World):
    """Evaluate a question on a ledger of many grants, and give the plan of each query that was made for it."""
    world.append(closed_purpose())
    grants = table(GrantRow)
    with world.service.engine.connect() as connection, locked(connection):
        row = connection.execute(grants.select().limit(1)).one()._asdict()
        rows = [{**row, "id": f"g{n}", "org": f"org-{n % 500}", "resource": f"dataset:d{n}"} for n in range(MANY)]
        connection.execute(grants.insert(), rows)
        connection.execute(table(RestraintRow).insert(), [lifted(n) for n in range(MANY)])
        connection.execute(table(AuthorisationRow).insert(), [authorisation(n) for n in range(MANY)])
        connection.execute(table(AttestationRow).insert(), [attestation(n) for n in range(MANY)])
        connection.exec_driver_sql("ANALYZE")
    sqlite = world.service.engine.dialect.name == "sqlite"
    found: dict[str, str] = {}

    def explain(connection, _cursor, statement, parameters, _context, _many) -> None:
        if statement.startswith("SELECT"):
            cursor = connection.connection.driver_connection.cursor()
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' * sqlite}{statement}", parameters)
            found[re.findall(r"\b(?:FROM|JOIN) (\w+)\b(?!\()", statement)[0]] = "\n".join(
                str(line[-1]) for line in cursor.fetchall()
            )

    asked = [question(), question(purpose="sensitive", environment_id="e1")]
    with world.service.engine.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", explain)
        Evaluator(owner=OWNER)(connection, asked, now="2026-11-21T09:30:00.000000Z", state_seq=0)
    return found


def test_grants_are_found_by_their_holder(plans):
    """Among 20,000 grants, the query for one holder's goes through its index, and scans no table."""
    assert "access_grant_by_holder" in plans["access_grant"]
    assert not re.search(r"SCAN access_grant|Seq Scan on access_grant", plans["access_grant"])


def test_restraints_in_force_are_found_among_those_that_are_over(plans):
    """Among 20,000 pauses that were lifted, the query for those that stand goes through its index."""
    assert "restraint_in_force" in plans["restraint"]
    assert not re.search(r"SCAN restraint|Seq Scan on restraint", plans["restraint"])


@pytest.mark.parametrize("name", ["authorisation", "attestation", "organisation", "purpose", "resource", "credential"])
def test_no_fact_is_scanned_for(plans, name):
    """What a request needs besides is found by key: SQLite, which plans by shape, scans no table for it."""
    assert not re.search(rf"SCAN {name}\b", plans[name])


@pytest.mark.parametrize(("name", "index"), [("authorisation", "authorisation_by_org"), ("attestation", "attestation")])
def test_what_few_requests_need_is_found_by_its_index(plans, name, index):
    """Among 20,000 authorisations and attestations, those of one organisation are found through an index."""
    assert index in plans[name]
    assert not re.search(rf"SCAN {name}\b|Seq Scan on {name}\b", plans[name])


def test_every_fact_is_asked_for(plans):
    """The plans cover all that a decision reads."""
    assert {
        "organisation",
        "purpose",
        "resource",
        "lineage",
        "agreement",
        "access_grant",
        "credential",
        "restraint",
        "authorisation",
        "attestation",
    } <= plans.keys()
