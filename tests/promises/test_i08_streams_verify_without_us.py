"""I8, for a partner: what concerns it is proved to be all that there is, offline, without a look at what others do."""

import json
from pathlib import Path

import msgspec
import pytest
from commands import oblik, refused
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from promised import chained, entries_in, one_batch, replayed, rows_of, verified
from served import Served, check_problem, serving
from world import BY, ORIGIN, OTHER, OWNER, PARTNER, World, question

from ledger.errors import BadCheckpoint, BadEntry, Unverified
from ledger.events.registry import CredentialIssued, OrganisationEnrolled, OrganisationProposed
from ledger.keys import add_keys
from ledger.log.checkpoint import parse_checkpoint
from ledger.log.cosignature import Ed25519CosignatureSigner
from ledger.log.entry import parse_entry
from ledger.log.note import add_signatures, format_vkey, parse_note, sign_note
from ledger.log.stream_file import verify_stream
from ledger.log.trust_policy import Policy, parse_policy
from ledger.log.verify import Replica
from ledger.services.caller import hash_token
from ledger.services.keys import rotate_keys
from ledger.services.publishing import publish
from ledger.services.streams import Heads, read_heads, seal_all, seal_if_moved
from ledger.storage.anchor import Anchor
from ledger.storage.publication import show_to_all
from ledger.storage.rebuild import rebuild
from ledger.storage.tables import PROJECTIONS

STREAM = f"org:{PARTNER}"
LAST_DAY = "2027-12-31T00:00:00.000000Z"


def credential(name: str, org: str) -> CredentialIssued:
    return CredentialIssued(
        id=name,
        org=org,
        holder="reader-1",
        holder_type="system",
        scopes=("read",),
        expires=LAST_DAY,
        token_sha256=hash_token(name),
    )


@pytest.fixture
def api(database_url: str, tmp_path: Path):
    """Give a served world, on each engine in turn, in which partners may read what is theirs."""
    with serving(database_url, tmp_path) as served:
        for name, org in (("reader", PARTNER), ("stranger", OTHER)):
            served.world.append(credential(name, org))
        served.allowed()
        yield served


def seal(world: World, heads: Heads | None = None) -> int:
    known = heads or heads_of(world)
    return world.service.sequencer.submit(lambda tx: seal_all(tx, BY, known)).result(30)


def heads_of(world: World) -> Heads:
    with world.service.engine.connect() as connection:
        return read_heads(connection)


def get(api: Served, path: str, token: str = "reader"):
    return api.send("GET", f"/ledger/v1/streams/{path}", token)


def policy_lines(world: World) -> str:
    """Name the log's keys, as a policy does."""
    return "".join(f"log {format_vkey(signer)}\n" for signer in world.service.signers)


def trusting(world: World, *more: str, quorum: str = "none") -> Policy:
    return parse_policy((policy_lines(world) + "".join(more) + f"quorum {quorum}\n").encode())


def file_lines(api: Served, token: str = "reader", stream: str = STREAM) -> list[bytes]:
    answer = get(api, stream, token)
    assert answer.status_code == 200, answer.text
    return answer.content.splitlines(keepends=True)


# Sealing --------------------------------------------------------------------------------------------------------------


def test_a_seal_speaks_of_every_entry_before_it(world: World):
    """Also of those of its own batch; the verifier's own fold comes to the same, and so does a rebuild."""
    before_batch = heads_of(world)
    with one_batch(world.service.sequencer):
        proposed = OrganisationProposed(id="new-ee", name="New", country="EST", communities=(), trust_tier=1)
        first = world.service.sequencer.submit(lambda tx: tx.append(proposed, BY))
        sealing = world.service.sequencer.submit(lambda tx: seal_all(tx, BY, before_batch))
        world.service.sequencer.submit(lambda tx: tx.append(OrganisationEnrolled(id="new-ee"), BY))
    assert sealing.result(30) == first.result(30) + 1
    world.ask()
    seal(world)
    engine = world.service.engine
    entry = entries_in(engine)[sealing.result()]
    assert (entry.about, entry.body["size"]) == ({}, entry.seq)
    verified(engine)
    assert replayed(engine).findings == ()
    before = rows_of(engine, PROJECTIONS)
    assert rebuild(engine) == {}
    assert before == rows_of(engine, PROJECTIONS)


def test_a_seal_that_fails_leaves_nothing(world: World):
    """A seal whose command fails is rolled back with the heads that it wrote early; its neighbours are not."""
    heads = heads_of(world)

    def fail(tx) -> None:
        seal_all(tx, BY, heads)
        raise ZeroDivisionError

    with one_batch(world.service.sequencer):
        asked = world.service.sequencer.ask_from_thread(question())
        failed = world.service.sequencer.submit(fail)
    assert isinstance(failed.exception(30), ZeroDivisionError)
    assert entries_in(world.service.engine)[-1].seq == asked.result(30)[0]
    verified(world.service.engine)
    seal(world)
    verified(world.service.engine)


def test_streams_are_sealed_when_something_was_written(world: World):
    """The periodic seal writes nothing after a seal, and something after anything else."""

    def periodic() -> int | None:
        heads = heads_of(world)
        return world.service.sequencer.submit(lambda tx: seal_if_moved(tx, BY, heads)).result(30)

    first = periodic()
    assert first == len(entries_in(world.service.engine)) - 1
    assert periodic() is None
    world.ask()
    assert periodic() == first + 2


def test_a_seal_knows_what_moved_after_its_heads_were_read(world: World):
    """Streams that are new, or moved, between reading and sealing; moved by a neighbour, rolled back, or not at all."""
    new = OrganisationProposed(id="aaa", name="New", country="EST", communities=(), trust_tier=1)
    last = OrganisationProposed(id="zzz", name="New", country="EST", communities=(), trust_tier=1)
    for meanwhile in ((), (new,), (OrganisationEnrolled(id="aaa"), last), (credential("later", OTHER),)):
        heads = heads_of(world)
        if meanwhile:
            world.append(*meanwhile)
        seal(world, heads)
    old = heads_of(world)
    for _ in range(3):
        world.ask()
    seal(world)
    seal(world, old)
    verified(world.service.engine)


def test_sealing_is_for_administrators_and_auditors(api: Served):
    """An administrator seals over HTTP; others, and an auditor without the scope, are refused and write nothing."""
    before = api.size
    assert api.post("/api/v1/none", "admin").status_code == 404
    assert api.send("POST", "/ledger/v1/streams/seal", "admin").json() == {"seq": before}
    for token in ("steward", "auditor", "sato", "reader"):
        check_problem(api.send("POST", "/ledger/v1/streams/seal", token), 403)
    assert api.size == before + 1


def test_a_false_seal_does_not_verify(world: World):
    """Whoever writes the database can seal other heads than the entries lead to; the verifier names that entry."""
    world.ask()
    seal(world)
    entries = entries_in(world.service.engine)
    for change in ({"count": 1}, {"root": "ab" * 32}, {"size": 3}):
        forged = [*entries[:-1], msgspec.structs.replace(entries[-1], body={**entries[-1].body, **change})]
        replica = Replica()
        for data in chained(forged[:-1]):
            replica.add(data)
        size = replica.size
        with pytest.raises(BadEntry, match=f"entry {size}: /body"):
            replica.add(chained(forged)[-1])
        assert replica.size == size


# Who sees what --------------------------------------------------------------------------------------------------------


def test_a_partner_reads_its_own_stream_and_no_other(api: Served):
    """With the scope `read` a partner has its organisation's stream; all others are not there; the owner has any."""
    seal(api.world)
    for path in ("", "/entries", "/proof"):
        assert get(api, STREAM + path).status_code == 200
        assert get(api, STREAM + path, "auditor").status_code == 200
        assert get(api, "dataset:uav" + path, "auditor").status_code == 200
        for name in (f"org:{OWNER}", f"org:{OTHER}", "dataset:uav", "org:nobody"):
            check_problem(get(api, name + path), 404)
        check_problem(get(api, STREAM + path, "stranger"), 404)
        check_problem(get(api, STREAM + path, "trainer"), 403)
        check_problem(api.send("GET", f"/ledger/v1/streams/{STREAM}{path}", None), 401)
    check_problem(api.send("GET", "/ledger/v1/entries", "reader"), 403)


def test_a_partner_reads_single_entries_that_concern_it(api: Served):
    """Of all entries by index, a partner gets those of its stream; the others are not there."""
    for entry in api.entries():
        answer = api.send("GET", f"/ledger/v1/entries/{entry.seq}", "reader")
        assert answer.status_code == (200 if STREAM in entry.about else 404), entry.seq


def test_pages_of_a_stream_join_from_its_end(api: Served):
    """Pages of any size, each before the last entry of the one before it, are the stream, newest first."""
    wanted = [entry.seq for entry in reversed(api.entries()) if STREAM in entry.about]
    for limit in (1, 3, 1000):
        found: list[int] = []
        while True:
            before = f"&before={found[-1]}" if found else ""
            page = get(api, f"{STREAM}/entries?limit={limit}{before}").content.splitlines()
            if not page:
                break
            found += [json.loads(line)["seq"] for line in page]
        assert found == wanted
    outside = next(entry.seq for entry in api.entries() if STREAM not in entry.about)
    check_problem(get(api, f"{STREAM}/entries?before={outside}"), 404)
    check_problem(get(api, f"{STREAM}/entries?before=1000000"), 404)
    check_problem(get(api, f"{STREAM}/entries?limit=1001"), 400)


def test_before_the_first_seal_nothing_is_proved(api: Served):
    """Without a seal there is no proof, which is said; a stream that is newer than the seal is told apart."""
    for path in (STREAM, f"{STREAM}/proof"):
        assert "never sealed" in check_problem(get(api, path), 409)["detail"]
    seal(api.world)
    api.world.append(
        OrganisationProposed(id="new-ee", name="New", country="EST", communities=(), trust_tier=1),
        credential("late", "new-ee"),
    )
    for path in ("org:new-ee", "org:new-ee/proof"):
        assert "not there at the latest seal" in check_problem(get(api, path, "late"), 409)["detail"]
        assert get(api, path, "auditor").status_code == 200


# The file -------------------------------------------------------------------------------------------------------------


def test_a_stream_file_is_the_whole_stream_and_nothing_else(api: Served):
    """It verifies with the log's keys alone, and holds the stream's entries up to the seal, the seal, and no other."""
    wanted = [entry for entry in api.entries() if STREAM in entry.about]
    sealed = seal(api.world)
    api.allowed()
    lines, read = file_lines(api), []
    found = verify_stream(lines, stream=STREAM, policy=trusting(api.world), each=read.append)
    assert read == list(reversed(wanted))
    assert (found.entries, found.last_seq, found.sealed) == (len(wanted), wanted[-1].seq, sealed)
    assert found.checkpoint.size == api.size
    told = [json.loads(line) for line in lines]
    entries = [line for line in told if "kind" in line]
    assert {entry["seq"] for entry in entries} == {sealed} | {entry.seq for entry in wanted}
    names = {json.dumps(leaf["name"]) for line in told for leaf in line.get("leaves", [])}
    assert names == {json.dumps(STREAM)}


def test_the_proof_of_a_stream_is_that_of_its_file(api: Served):
    """`/proof` gives the same head and seal as the file does."""
    sealed = seal(api.world)
    answer = get(api, f"{STREAM}/proof").json()
    lines = [json.loads(line) for line in file_lines(api)]
    assert answer["leaves"] == lines[4]["leaves"]
    assert parse_entry(answer["seal"].encode(), seq=sealed).kind == "streams.sealed"
    assert (answer["size"], answer["last_seq"]) == (lines[0]["entries"], lines[4]["leaves"][0]["last_seq"])


def test_absence_is_proved_to_the_owner(api: Served):
    """For a name that no stream has, the owner's reader gets a file without entries that verifies."""
    seal(api.world)
    for stream in ("org:nobody", "agreement:0", "zzz:z"):
        found = verify_stream(file_lines(api, "auditor", stream), stream=stream, policy=trusting(api.world))
        assert (found.entries, found.last_seq) == (0, -1)


def test_a_file_that_leaves_anything_out_does_not_verify(api: Served):
    """Entries left out, exchanged or moved, lines cut or doubled, a header that tells otherwise: each is refused."""
    seal(api.world)
    lines = file_lines(api)
    verify_stream(lines, stream=STREAM, policy=trusting(api.world))
    header = json.loads(lines[0])
    wrong = [[*lines[:i], *lines[i + 1 :]] for i in range(len(lines))]
    wrong += [[*lines[:i], lines[i], *lines[i:]] for i in range(len(lines))]
    wrong += [[*lines[:i], lines[i][:-2] + b"\n", *lines[i + 1 :]] for i in range(len(lines))]
    wrong += [[*lines[:i], *lines[i + 2 :]] for i in range(5, len(lines), 2)]
    wrong += [[*lines[:5], *lines[i:]] for i in range(7, len(lines), 2)]
    wrong += [[*lines[:i], lines[i + 2], lines[i + 3], lines[i], lines[i + 1], *lines[i + 4 :]]
              for i in range(5, len(lines) - 2, 2)]  # fmt: skip
    wrong += [[_line({**header, "entries": count}), *lines[1 : 5 + 2 * count]] for count in range(header["entries"])]
    for change in (
        {"size": 1},
        {"sealed": 0},
        {"origin": "elsewhere"},
        {"stream": "org:x"},
        {"format": "oblik-stream/2"},
    ):
        wrong.append([_line({**header, **change}), *lines[1:]])
    wrong.append([lines[0], *lines[1:], b"{}\n"])
    wrong.append([b"x" * 300_000])
    for attempt in wrong:
        with pytest.raises(Unverified):
            verify_stream(attempt, stream=STREAM, policy=trusting(api.world))


def _line(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_file_of_another_stream_log_or_key_does_not_verify(api: Served):
    """The name that is asked for, and a key that is known, have to be those of the file."""
    seal(api.world)
    lines = file_lines(api)
    with pytest.raises(Unverified, match="is not oblik-stream/1 of"):
        verify_stream(lines, stream=f"org:{OTHER}", policy=trusting(api.world))
    stranger = "log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n"
    for known in ("", stranger):
        with pytest.raises(Unverified, match="no known key"):
            verify_stream(lines, stream=STREAM, policy=parse_policy(f"{known}quorum none\n".encode()))
    verify_stream(lines, stream=STREAM, policy=trusting(api.world, stranger))


def test_a_file_is_under_the_checkpoint_that_was_cosigned(api: Served):
    """Once witnesses cosigned a checkpoint that covers the seal, the file has that one, and meets their quorum."""
    seal(api.world)
    witness = Ed25519CosignatureSigner("w.example", Ed25519PrivateKey.generate(), lambda: 1_795_000_000)
    policy = trusting(api.world, f"witness w {format_vkey(witness)}\n", quorum="w")
    with pytest.raises(BadCheckpoint, match="too few witnesses"):
        verify_stream(file_lines(api), stream=STREAM, policy=policy)
    note = api.world.checkpoint()
    text = parse_note(note)[0]
    cosigned = add_signatures(note, sign_note(text, [witness]).split(b"\n\n", 1)[1])
    assert show_to_all(api.world.service.engine, cosigned, parse_checkpoint(text).size)
    found = verify_stream(file_lines(api), stream=STREAM, policy=policy)
    assert found.checkpoint == parse_checkpoint(text)


def test_a_file_verifies_after_a_rotation(api: Served, tmp_path: Path):
    """Both commands take the keys of before and of after; those of before alone do not verify what came after."""
    world, before = api.world, policy_lines(api.world)
    new = add_keys(world.settings.keys, origin=ORIGIN)
    rotate_keys(world.service.engine, old=world.service.signers, new=new, reason="test", now=world.clock())
    sealed = seal(world)
    anchor = Anchor(world.settings.anchor)
    note = publish(world.service.engine, origin=ORIGIN, signers=new, anchor=anchor, show=True).note
    assert parse_checkpoint(parse_note(note)[0]).size == sealed + 1
    (tmp_path / "own.jsonl").write_bytes(b"".join(file_lines(api)))
    after = "".join(f"log {format_vkey(signer)}\n" for signer in new)
    for known, code in ((before + after, 0), (after, 0), (before, 1)):
        given = [part for line in known.splitlines() for part in ("--vkey", line.split()[1])]
        (tmp_path / "policy").write_text(f"{known}quorum none\n")
        command = ("own.jsonl", "--stream", STREAM)
        told = oblik("stream", "verify", *command, *given, cwd=tmp_path)
        same = oblik("verify", *command, "--policy", "policy", cwd=tmp_path)
        assert (told.returncode, same.returncode) == (code, code), (told, same)
        assert told.stdout == same.stdout


def test_the_command_fetches_and_verifies(api: Served, tmp_path: Path):
    """A partner's machine: fetched once with its token, verified offline; from the service at once; and refused."""
    seal(api.world)
    given = [part for signer in api.world.service.signers for part in ("--vkey", format_vkey(signer))]
    url, token = str(api.http.base_url).rstrip("/"), {"OBLIK_TOKEN": "reader"}
    done = oblik("stream", "fetch", "own.jsonl", "--stream", STREAM, "--url", url, cwd=tmp_path, env=token)
    assert (done.returncode, done.stderr) == (0, ""), done
    offline = oblik("stream", "verify", "own.jsonl", "--stream", STREAM, *given, cwd=tmp_path)
    assert offline.returncode == 0, offline
    assert offline.stdout.startswith("verified: ")
    online = oblik("stream", "verify", url, "--stream", STREAM, *given, cwd=tmp_path, env=token)
    assert online.stdout.splitlines()[0] == offline.stdout.splitlines()[0]
    lines = (tmp_path / "own.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join([*lines[:5], *lines[7:]]))
    refused(oblik("stream", "verify", "cut.jsonl", "--stream", STREAM, *given, cwd=tmp_path), code=1)
    refused(oblik("stream", "verify", "none", "--stream", STREAM, *given, cwd=tmp_path), "cannot be read", code=2)
    again = ("stream", "fetch", "own.jsonl", "--stream", STREAM, "--url", url)
    refused(oblik(*again, cwd=tmp_path, env=token), "is there already", code=2)
    other = ("stream", "fetch", "other.jsonl", "--stream", "org:orion-pl", "--url", url)
    refused(oblik(*other, cwd=tmp_path, env=token), "answered 404", code=2)
    refused(oblik(*other, cwd=tmp_path), "OBLIK_TOKEN is not set", code=2)
    clear = ("stream", "fetch", "other.jsonl", "--stream", STREAM, "--url", "http://ledger.example")
    refused(oblik(*clear, cwd=tmp_path, env=token), "not over https", code=2)
    wrong = ("stream", "verify", "own.jsonl", "--stream", STREAM, "--vkey", "nonsense")
    refused(oblik(*wrong, cwd=tmp_path), "--vkey", code=2)
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["cut.jsonl", "own.jsonl"]
