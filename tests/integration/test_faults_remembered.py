"""What one fault, one stranger or one wrong clock leaves behind: nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from world import START, World, question, revocation

from ledger.errors import Unauthenticated
from ledger.services.caller import authenticate, hash_token
from ledger.services.decisions import Evaluator
from ledger.storage.facts import FactReader
from ledger.storage.transaction import Transaction

NOW = "2026-11-21T10:00:00.000000Z"


def test_a_failed_read_is_not_taken_for_absence(world: World):
    """Facts that could not be read are read again, and not remembered as missing."""
    reader, asked = FactReader(), [question().request]
    with world.service.engine.connect() as closed:
        pass
    with pytest.raises(sa.exc.ResourceClosedError):
        reader.gather(closed, asked, state_seq=37)
    with world.service.engine.connect() as connection:
        (facts,) = reader.gather(connection, asked, state_seq=37)
    assert facts.party is not None
    assert [grant.id for grant in facts.grants] == ["grant-1"]


def test_strangers_leave_nothing_in_memory(world: World):
    """Questions under tokens that do not exist read no facts, whatever they name."""
    evaluator = Evaluator(owner="mod-ua")
    guesses = [question(f"guess-{number}", purpose=f"p{number}") for number in range(50)]
    with world.service.engine.connect() as connection:
        answers = evaluator(connection, guesses, now=NOW, state_seq=37)
    assert [Unauthenticated] * 50 == [type(answer) for answer in answers]
    assert {} == evaluator._facts._purposes == evaluator._callers


def test_a_clock_that_was_ahead_once_locks_nobody_out(world: World):
    """Entries dated far ahead by a wrong clock do not expire the tokens of those who have to repair it."""
    world.clock.now = START + timedelta(days=5_000)
    world.append(revocation("grant-1"))
    world.clock.now = START + timedelta(hours=1)

    def act(tx: Transaction) -> str:
        return authenticate(tx.connection, hash_token("security"), now=tx.now).holder

    assert world.service.sequencer.submit(act).result(30) == "i.bondar"
