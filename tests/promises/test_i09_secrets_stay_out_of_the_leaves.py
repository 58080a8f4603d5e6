"""I9: sensitive values lie beside the ledger, are shown to named readers alone, and can be erased for good."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from promised import entries_in, replayed, rows_of, stored, verified
from served import Served, check_problem, serving
from world import BY, GRANT_TERMS, OTHER, OWNER, PARTNER, World

from ledger.errors import BadEntry, Unverified
from ledger.events.registry import CredentialIssued, MemberAppointed
from ledger.events.sealing import FieldErased
from ledger.events.sharing import AccessRequested
from ledger.log.entry import parse_entry
from ledger.log.sealed import commitment_of, open_sealed, seal
from ledger.services.caller import hash_token
from ledger.services.sealing import SealedFields, Sealing, check_disclosures
from ledger.services.verifying import export
from ledger.storage.rebuild import rebuild
from ledger.storage.tables import DisclosureRow, table

SECRET = "the detector is for the crossing at Nova Kakhovka"
FIELD = "justification"
WORDS = (b"Kakhovka", base64.b64encode(b"Kakhovka"), base64.b64encode(b"Nova Kakhovka")[:12])
BEFORE_THE_VALUE = 60
"""Characters of a disclosure that hold its salt and name."""
LAST_DAY = "2027-12-31T00:00:00.000000Z"


@pytest.fixture
def api(database_url: str, tmp_path: Path):
    """Give a served world, on each engine in turn, in which a partner and a stranger may read what is theirs."""
    with serving(database_url, tmp_path) as served:
        for name, org, holder, kind in (
            ("reader", PARTNER, "reader-1", "system"),
            ("stranger", OTHER, "reader-1", "system"),
            ("twin", OTHER, "i.bondar", "person"),
        ):
            issued = CredentialIssued(
                id=name, org=org, holder=holder, holder_type=kind, scopes=("read",), expires=LAST_DAY,
                token_sha256=hash_token(name),
            )  # fmt: skip
            served.world.append(MemberAppointed(org=org, person=holder, roles=()), issued)
        yield served


def requested(world: World, secret: str = SECRET, name: str = "req-secret") -> int:
    """Append a request whose justification is sealed. Returns its index."""
    event = AccessRequested(
        id=name, org=PARTNER, agreement="ua-acme", resource="dataset:uav", terms=GRANT_TERMS,
        quorum=("security", "steward"), requested_by=f"{PARTNER}/k.sato",
    )  # fmt: skip
    command = world.service.sequencer.submit(lambda tx: tx.append(event, BY, sensitive={FIELD: secret}))
    return command.result(30)


def named(org: str = OWNER, reader: str = "i.bondar", reader_type: str = "person") -> dict[str, str]:
    return {"org": org, "reader": reader, "reader_type": reader_type, "reason": "to vote on the request"}


def sealing_of(world: World) -> Sealing:
    """Hold the world's disclosures against its entries, as a verifier does."""
    fields = SealedFields()
    for entry in entries_in(world.service.engine):
        fields.add(entry)
    with world.service.engine.connect() as connection:
        found = check_disclosures(connection, fields)
    assert found is not None
    return found


def everything_stored(world: World) -> bytes:
    return repr(rows_of(world.service.engine)).encode()


# The leaves -----------------------------------------------------------------------------------------------------------


def test_no_value_is_in_an_entry_or_an_export(world: World):
    """The value stands in one table, beside the ledger; no entry and no export holds it, in any encoding."""
    requested(world)
    with export(world.service.engine, note=world.checkpoint()) as lines:
        exported = b"".join(lines)
    for word in WORDS:
        assert word not in b"".join(stored(world.service.engine))
        assert word not in exported
    found = [name for name, rows in rows_of(world.service.engine).items() if _tells(rows)]
    assert found == ["disclosure"]


def _tells(rows: list) -> bool:
    return any("Kakhovka" in _opened(value) for row in rows for value in row)


def _opened(value: object) -> str:
    """Give a stored value as text, with what is base64url in it decoded."""
    data = value if isinstance(value, bytes) else str(value).encode()
    padded = data + b"=" * (-len(data) % 4)
    try:
        return (data + base64.urlsafe_b64decode(padded)).decode(errors="replace")
    except ValueError:
        return data.decode(errors="replace")


def test_two_equal_values_have_two_commitments(world: World):
    """A value that can be guessed cannot be confirmed: each has a salt of its own."""
    first, second = requested(world), requested(world, name="req-again")
    entries = entries_in(world.service.engine)
    assert entries[first].sealed[FIELD] != entries[second].sealed[FIELD]


# Showing ------------------------------------------------------------------------------------------------------------


def test_nobody_sees_a_value_without_being_named(api: Served):
    """No role and no scope opens it: for everyone it is not there, with the same words as what does not exist."""
    seq = requested(api.world)
    for token in ("admin", "steward", "security", "legal", "auditor", "reader", "stranger"):
        assert check_problem(reading(api, seq, token), 404)["detail"] == f"no disclosure to you of `{seq}/{FIELD}`"
    assert check_problem(reading(api, 10**6, "auditor"), 404)["detail"] == f"no disclosure to you of `1000000/{FIELD}`"
    for token in ("sato", "trainer"):
        check_problem(reading(api, seq, token), 403)
    check_problem(reading(api, seq, None), 401)


def reading(api: Served, seq: int, token: str | None):
    return api.send("GET", f"/ledger/v1/entries/{seq}/disclosures/{FIELD}", token)


def test_the_reader_that_is_named_sees_it_and_nobody_else(api: Served):
    """One entry names the reader, who then gets what the entry committed to; for everyone else it is not there."""
    seq = requested(api.world)
    written = api.ok(f"entries/{seq}/disclosures/{FIELD}/readers", "steward", named())["seq"]
    answer = reading(api, seq, "security")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    entry = parse_entry(api.send("GET", f"/ledger/v1/entries/{seq}", "security").content, seq=seq)
    assert open_sealed(entry.sealed, answer.content) == (FIELD, SECRET)
    for token in ("admin", "steward", "legal", "auditor", "reader", "stranger", "twin"):
        check_problem(reading(api, seq, token), 404)
    told = api.entries(written)[0]
    assert told.kind == "field.disclosed"
    assert told.by == {"org": OWNER, "person": "o.koval"}
    assert set(told.about) == {"dataset:uav", f"org:{PARTNER}", f"org:{OWNER}"}
    other = requested(api.world, name="req-other")
    check_problem(reading(api, other, "security"), 404)


def test_a_reader_outside_sees_that_entry_and_no_other(api: Served):
    """Whoever was shown a value may read its entry, which holds the commitment, and none that does not concern it."""
    seq = requested(api.world)
    check_problem(api.send("GET", f"/ledger/v1/entries/{seq}", "stranger"), 404)
    api.ok(f"entries/{seq}/disclosures/{FIELD}/readers", "legal", named(OTHER, "reader-1", "system"))
    entry = parse_entry(api.send("GET", f"/ledger/v1/entries/{seq}", "stranger").content, seq=seq)
    assert open_sealed(entry.sealed, reading(api, seq, "stranger").content) == (FIELD, SECRET)
    check_problem(api.send("GET", f"/ledger/v1/entries/{seq - 8}", "stranger"), 404)
    check_problem(api.send("GET", f"/ledger/v1/entries/{seq}", "twin"), 404)


@pytest.mark.parametrize(
    ("status", "token", "body", "detail"),
    [
        (403, "admin", named(), "in the role steward or security or legal"),
        (403, "auditor", named(), "not scoped for `govern`"),
        (403, "sato", named(), "in the role steward"),
        (403, "security", named(), "nobody names themselves as a reader"),
        (404, "steward", named(reader="n.obody"), "with a token called `n.obody`"),
        (404, "steward", named(reader_type="system"), "system of `mod-ua` with a token called `i.bondar`"),
        (404, "steward", named(org="nowhere"), "no organisation `nowhere`"),
    ],
)
def test_a_reader_is_named_by_those_who_may(api: Served, status, token, body, detail):
    """An official in the right role names someone else, who exists; anything else is refused and leaves nothing."""
    seq = requested(api.world)
    api.refused(status, f"entries/{seq}/disclosures/{FIELD}/readers", token, body, detail)


def test_a_reader_holds_a_token_of_an_enrolled_organisation(api: Served):
    """Whose token was revoked, or whose organisation is only proposed, is not named."""
    seq = requested(api.world)
    api.ok("credentials/stranger/revocation", "admin", {"reason": "test"})
    path = f"entries/{seq}/disclosures/{FIELD}/readers"
    api.refused(404, path, "steward", named(OTHER, "reader-1", "system"), "with a token called")
    api.ok("organisations", "admin", {"id": "new-ee", "name": "New", "country": "EST", "trust_tier": 1})
    api.refused(409, path, "steward", named("new-ee"), "is not enrolled")


def test_what_was_never_sealed_is_not_shown(api: Served):
    """A field that the entry did not seal, or that no entry has, is 404; a reader who was named before is 409."""
    seq = requested(api.world)
    api.refused(404, f"entries/{seq}/disclosures/note/readers", "steward", named(), "no sealed field of entry")
    api.refused(404, f"entries/{seq - 1}/disclosures/{FIELD}/readers", "steward", named(), "no sealed field of entry")
    api.refused(404, f"entries/1000000/disclosures/{FIELD}/readers", "steward", named(), "no entry")
    api.ok(f"entries/{seq}/disclosures/{FIELD}/readers", "steward", named())
    api.refused(409, f"entries/{seq}/disclosures/{FIELD}/readers", "steward", named(), "was named by entry")


# Erasing --------------------------------------------------------------------------------------------------------------


def test_erasure_leaves_no_trace_in_any_table_and_the_history_verifies(api: Served):
    """The value is gone with the entry that says so, for its reader too; chain, tree and replay are as before."""
    seq, kept = requested(api.world), requested(api.world, "another secret", "req-kept")
    api.ok(f"entries/{seq}/disclosures/{FIELD}/readers", "steward", named())
    disclosure = reading(api, seq, "security").content
    assert disclosure in everything_stored(api.world)
    api.ok(f"entries/{seq}/disclosures/{FIELD}/erasure", "legal", {"reason": "its retention ended"})
    assert disclosure not in everything_stored(api.world)
    problem = check_problem(reading(api, seq, "security"), 410)
    assert problem["detail"] == f"the value of `{FIELD}` was erased by entry {api.size - 1}"
    check_problem(reading(api, seq, "auditor"), 404)
    again = (f"entries/{seq}/disclosures/{FIELD}/erasure", "legal", {"reason": "again"})
    api.refused(410, *again, "was erased by entry")
    api.refused(410, f"entries/{seq}/disclosures/{FIELD}/readers", "legal", named(), "was erased by entry")
    engine = api.world.service.engine
    assert verified(engine).size == api.size
    assert replayed(engine).findings == ()
    assert sealing_of(api.world) == Sealing(kept=1, withheld=0, erased=1, findings=())
    assert entries_in(engine)[kept].sealed
    before = rows_of(engine)
    assert rebuild(engine) == {}
    assert before == rows_of(engine)


@pytest.mark.parametrize("token", ["admin", "steward", "auditor", "sato"])
def test_a_value_is_erased_by_those_who_may(api: Served, token):
    """Security and legal erase; whoever else tries changes nothing."""
    seq = requested(api.world)
    api.refused(403, f"entries/{seq}/disclosures/{FIELD}/erasure", token, {"reason": "test"})
    assert sealing_of(api.world).kept == 1


@pytest.mark.parametrize("length", [40, 900, 3_000, 20_000])
def test_what_is_erased_is_overwritten_in_the_file(tmp_path: Path, length):
    """Of many values of one size in an SQLite file, one is erased: the file no longer has a run of its bytes."""
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as api:
        values = [_noise(number, length) for number in range(30)]
        seqs = [requested(api.world, value, f"req-n{number}") for number, value in enumerate(values)]
        with api.world.service.engine.connect() as connection:
            rows = connection.execute(table(DisclosureRow).select()).all()
        erased = {row.seq: row.data for row in rows if row.seq in seqs[5:20]}
        for seq in erased:
            api.ok(f"entries/{seq}/disclosures/{FIELD}/erasure", "legal", {"reason": "test"})
    files = {path.name for path in tmp_path.glob("ledger.db*")}
    assert files == {"ledger.db"}, "the log beside the file is gone once the service has ended"
    data = (tmp_path / "ledger.db").read_bytes()
    for disclosure in erased.values():
        assert not any(disclosure[i : i + 24] in data for i in range(BEFORE_THE_VALUE, len(disclosure) - 24, 8))
    left = next(row.data for row in rows if row.seq == seqs[0])
    assert left[BEFORE_THE_VALUE:][:24] in data


def _noise(number: int, length: int) -> str:
    """Give text of which no part occurs in another's."""
    return hashlib.shake_256(str(number).encode()).hexdigest(length // 2)


# Verifying ------------------------------------------------------------------------------------------------------------


def test_a_database_keeps_only_what_its_entries_committed_to(world: World):
    """A kept value that is another's, altered, moved or of no entry does not verify; one that is missing is counted."""
    seq = requested(world)
    disclosures, engine = table(DisclosureRow), world.service.engine
    assert sealing_of(world) == Sealing(kept=1, withheld=0, erased=0, findings=())
    with engine.connect() as connection:
        (row,) = connection.execute(disclosures.select()).all()
    wrong = seal(FIELD, "something else", bytes(16))[1]
    renamed = seal("note", SECRET, bytes(16))
    for change, message in (
        ({"data": wrong}, "has no commitment to this disclosure"),
        ({"seq": seq - 1}, f"no entry {seq - 1} committed"),
        ({"commitment": renamed[0], "data": renamed[1]}, "committed to the disclosure"),
    ):
        with engine.begin() as connection:
            connection.execute(disclosures.update(), change)
        with pytest.raises(Unverified, match=message):
            sealing_of(world)
        with engine.begin() as connection:
            connection.execute(disclosures.update(), row._asdict())
    with engine.begin() as connection:
        connection.execute(disclosures.delete())
    assert sealing_of(world) == Sealing(kept=0, withheld=1, erased=0, findings=())


def test_an_erasure_that_was_not_carried_out_is_a_finding(world: World):
    """A value that an entry says was erased, and that is kept all the same, is told; so is an erasure of nothing."""
    seq = requested(world)
    erasure = world.append(FieldErased(entry=seq, field=FIELD, concerns=(), reason="test"))
    nothing = world.append(FieldErased(entry=seq - 1, field=FIELD, concerns=(), reason="test"))
    found = sealing_of(world)
    assert (found.kept, found.withheld, found.erased) == (0, 0, 1)
    assert sorted((finding.seq, finding.problem) for finding in found.findings) == [
        (erasure, f"erased `{FIELD}` of entry {seq}; its value is kept"),
        (nothing, f"erases `{FIELD}` of entry {seq - 1}, which sealed no such field"),
    ]


def test_a_name_cannot_be_exchanged(world: World):
    """A disclosure is of the field under which the entry committed to it, and of no other."""
    commitment, disclosure = seal("note", SECRET, bytes(16))
    assert commitment == commitment_of(disclosure)
    with pytest.raises(Unverified, match="is of `note`, and the entry committed to it as `justification`"):
        open_sealed({FIELD: commitment}, disclosure)


def test_a_malformed_erasure_stops_the_check(world: World):
    """An entry that says it is an erasure, and is none, is BadEntry."""
    entry = entries_in(world.service.engine)[0]
    forged = json.loads(stored(world.service.engine)[0]) | {"kind": "field.erased", "seq": entry.seq}
    data = json.dumps(forged, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(BadEntry, match=r"the body is not one of kind `field\.erased`"):
        SealedFields().add(parse_entry(data, seq=entry.seq))


def test_disclosures_are_removed_only_with_their_entry(world: World):
    """Where the erasure's entry cannot be written, the value stays."""
    seq = requested(world)

    def fail(tx) -> None:
        tx.erase(entries_in(world.service.engine)[seq].sealed[FIELD])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.service.sequencer.submit(fail).result(30)
    assert sealing_of(world).kept == 1
    with world.service.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM disclosure")).scalar_one() == 1
