"""Trust policies: how they read, what they refuse, and which checkpoints pass them."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import BadCheckpoint, BadNote, Malformed, TooLarge
from ledger.log.checkpoint import Checkpoint, sign_checkpoint
from ledger.log.codec import format_base64
from ledger.log.cosignature import Ed25519CosignatureSigner, MLDSA44Signer, cosigned_at
from ledger.log.note import Ed25519Signer, format_vkey, key_id, sign_note
from ledger.log.trust_policy import MAX_OF_EACH, MAX_POLICY_BYTES, Policy, parse_policy

ORIGIN = "example.org/log"
CHECKPOINT = Checkpoint(origin=ORIGIN, size=42, root=hashlib.sha256(b"root").digest())
TIME = 1_795_250_000


def ed25519(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32))


def ml_dsa(seed: int) -> MLDSA44PrivateKey:
    return MLDSA44PrivateKey.from_seed_bytes(seed.to_bytes(32))


LOG, LOG_PQ = Ed25519Signer(ORIGIN, ed25519(1)), MLDSA44Signer(ORIGIN, ml_dsa(2))
W1, W2, W3 = (Ed25519CosignatureSigner(f"w{i}.example", ed25519(10 + i), lambda i=i: TIME + i) for i in (1, 2, 3))
W1_PQ = MLDSA44Signer("w1.example", ml_dsa(21), time=lambda: TIME + 9)
KEYS = [format_vkey(signer) for signer in (LOG, LOG_PQ, W1, W2, W3, W1_PQ)]

TEXT = f"""# a comment, and an empty line

log {KEYS[0]} https://example.org/
\tlog  {KEYS[1]}\t
witness poland {KEYS[2]}
witness\tpoland-pq \t {KEYS[5]} https://w1.example/
witness estonia {KEYS[3]}
witness japan {KEYS[4]}
group PL any poland poland-pq
  # indented
group allies 2 PL estonia japan
quorum allies
""".encode()


def policy(text: bytes = TEXT) -> Policy:
    return parse_policy(text)


def test_a_policy_reads() -> None:
    """Logs, witnesses, groups and quorum come as the lines have them."""
    found = policy()
    assert [(log.verifier.name, log.vkey, log.url) for log in found.logs] == [
        (ORIGIN, KEYS[0], "https://example.org/"),
        (ORIGIN, KEYS[1], ""),
    ]
    assert [(one.name, one.verifier.key_id, one.url) for one in found.witnesses] == [
        ("poland", W1.key_id, ""),
        ("poland-pq", W1_PQ.key_id, "https://w1.example/"),
        ("estonia", W2.key_id, ""),
        ("japan", W3.key_id, ""),
    ]
    assert [(one.name, one.threshold, one.members) for one in found.groups] == [
        ("PL", 1, ("poland", "poland-pq")),
        ("allies", 2, ("PL", "estonia", "japan")),
    ]
    assert found.quorum == "allies"
    assert found.describe_quorum() == "2 of 3 (1 of 2 (poland, poland-pq), estonia, japan)"


@pytest.mark.parametrize(
    ("names", "enough"),
    [
        ([], False),
        (["poland"], False),
        (["poland", "poland-pq"], False),
        (["estonia", "japan"], True),
        (["poland-pq", "japan"], True),
        (["nobody", "japan"], False),
    ],
)
def test_a_quorum_counts_groups_once(names, enough) -> None:
    """Two keys of one witness are one voice where a group joins them."""
    assert policy().quorum_met(names) is enough


@pytest.mark.parametrize(("threshold", "enough"), [("any", [1, 2, 3]), ("all", [3]), ("2", [2, 3])])
def test_all_any_and_a_number(threshold, enough) -> None:
    """`any` is one, `all` is every one, a number is itself."""
    text = TEXT.replace(b"group allies 2 PL", f"group allies {threshold} PL".encode())
    assert enough == [n for n in range(4) if policy(text).quorum_met(["poland", "estonia", "japan"][:n])]


def test_a_checkpoint_is_opened_with_its_signers_told() -> None:
    """The log's keys in the order of the lines, each witness with its time, and whether that is enough."""
    note = sign_checkpoint(CHECKPOINT, [LOG_PQ, LOG, W1, W1_PQ, W3])
    found = policy().open(note)
    assert found.checkpoint == CHECKPOINT
    assert found.log_keys == ((ORIGIN, LOG_PQ.key_id), (ORIGIN, LOG.key_id))
    assert found.cosigned == {"poland": TIME + 1, "poland-pq": TIME + 9, "japan": TIME + 3}
    assert found.quorum_met
    assert found == policy().open(note, ORIGIN)
    found.check_quorum()


def test_a_quorum_that_is_not_met_is_told_and_refused_on_demand() -> None:
    """Opening tells it; `check_quorum` says who cosigned and what it takes."""
    found = policy().open(sign_checkpoint(CHECKPOINT, [LOG, W1, W1_PQ]))
    assert not found.quorum_met
    with pytest.raises(BadCheckpoint, match=r"poland, poland-pq, where it takes 2 of 3 \(1 of 2"):
        found.check_quorum()
    with pytest.raises(BadCheckpoint, match="cosigned the checkpoint: none"):
        policy().open(sign_checkpoint(CHECKPOINT, [LOG])).check_quorum()


def test_quorum_none_and_a_single_witness() -> None:
    """`none` asks for nobody; a quorum may be one witness."""
    bare = sign_checkpoint(CHECKPOINT, [LOG])
    none = policy(TEXT.replace(b"quorum allies", b"quorum none"))
    assert none.open(bare).quorum_met
    assert none.describe_quorum() == "no witness"
    one = policy(TEXT.replace(b"quorum allies", b"quorum japan"))
    assert one.describe_quorum() == "japan"
    assert not one.open(bare).quorum_met
    assert one.open(sign_checkpoint(CHECKPOINT, [LOG, W3])).quorum_met


def test_witnesses_alone_do_not_speak_for_the_log() -> None:
    """Nor does another log's key."""
    with pytest.raises(BadCheckpoint, match="itself signed"):
        policy().open(sign_checkpoint(CHECKPOINT, [W1, W2, W3]))
    other = Ed25519Signer("other.example/log", ed25519(5))
    both = policy(TEXT + f"log {format_vkey(other)}\n".encode())
    with pytest.raises(BadCheckpoint, match="itself signed"):
        both.open(sign_checkpoint(CHECKPOINT, [other]))
    with pytest.raises(BadNote, match="no known key"):
        policy().open(sign_checkpoint(CHECKPOINT, [other]))


def test_a_known_signature_that_fails_refuses_the_note() -> None:
    """Be it a witness's that the quorum does not need."""
    note = sign_checkpoint(CHECKPOINT, [LOG, W1, W2])
    forged = f"— {W3.name} {format_base64(W3.key_id.to_bytes(4) + TIME.to_bytes(8) + bytes(64))}\n".encode()
    assert policy().open(note).quorum_met
    with pytest.raises(BadNote, match="does not verify"):
        policy().open(note + forged)


def test_the_origin_that_is_asked_for_is_the_one_that_passes() -> None:
    """A policy of two logs opens either; a caller who wants one gets that one."""
    other = Ed25519Signer("other.example/log", ed25519(5))
    both = policy(TEXT + f"log {format_vkey(other)}\n".encode())
    elsewhere = Checkpoint(origin=other.name, size=1, root=CHECKPOINT.root)
    note = sign_checkpoint(elsewhere, [other])
    assert both.open(note).checkpoint == elsewhere
    with pytest.raises(BadCheckpoint, match="not of"):
        both.open(note, ORIGIN)


def test_what_is_no_checkpoint_is_refused() -> None:
    """Though a log's key signed it."""
    with pytest.raises(BadCheckpoint):
        policy().open(sign_note(b"hello\n", [LOG]))


def test_a_cosignature_states_its_time() -> None:
    """Eight bytes before the signature proper; fewer are none."""
    assert cosigned_at(W1.sign(b"example.org/log\n42\n" + format_base64(CHECKPOINT.root).encode() + b"\n")) == TIME + 1
    for short in (b"", bytes(7), bytes(8)):
        with pytest.raises(BadNote):
            cosigned_at(short)


def test_names_are_octets() -> None:
    """A Kelvin sign is no K, and bytes that are not UTF-8 are a name too."""
    text = TEXT.replace(b"japan", b"\xe2\x84\xaa").replace(b"estonia", b"K").replace(b"poland-pq", b"\xff")
    found = policy(text + b"# \xfe\n")
    assert found.quorum_met(["\u212a", "K"])
    assert not found.quorum_met(["K"])
    assert found.quorum_met(["\udcff", "K"])
    assert policy(TEXT.replace(b"japan", b"ja\xc2\xa0pan")).witnesses[3].name == "ja\u00a0pan"


def line(number: int, text: str) -> bytes:
    """Give the policy with one line replaced, counted from 1."""
    lines = TEXT.split(b"\n")
    lines[number - 1] = text.encode(errors="surrogateescape")
    return b"\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (line(3, "log"), "line 3: a log reads"),
        (line(3, f"log {KEYS[0]} https://a b"), "line 3: a log reads"),
        (line(3, f"log {KEYS[0][:-1]}"), "line 3: "),
        (line(3, f"log {KEYS[2]}"), "line 3: the key is of type 0x04"),
        (line(3, f"logs {KEYS[0]}"), "line 3: `logs` is no keyword"),
        (line(3, f"Log {KEYS[0]}"), "line 3: `Log` is no keyword"),
        (line(3, f"log\u00a0{KEYS[0]}"), "is no keyword"),
        (line(4, f"log {KEYS[0]}"), "line 4: the key stands on an earlier line"),
        (line(5, "witness poland"), "line 5: a witness reads"),
        (line(5, f"witness poland {KEYS[2]} a b"), "line 5: a witness reads"),
        (line(5, f"witness none {KEYS[2]}"), "line 5: the name `none` is taken"),
        (line(5, f"witness poland {format_vkey(Ed25519Signer('w', ed25519(30)))}"), "line 5: the key is of type 0x01"),
        (line(6, f"witness poland {KEYS[5]}"), "line 6: the name `poland` is taken"),
        (line(6, f"witness poland-pq {KEYS[2]}"), "line 6: the key stands on an earlier line"),
        (line(6, f"witness poland-pq {KEYS[1]}"), "line 6: the key stands on an earlier line"),
        (line(9, "group PL any"), "line 9: a group reads"),
        (line(9, "group PL"), "line 9: a group reads"),
        (line(9, "group none any poland"), "line 9: the name `none` is taken"),
        (line(9, "group poland any poland-pq"), "line 9: the name `poland` is taken"),
        (line(9, "group PL any none"), "line 9: `none` is no witness or group"),
        (line(9, "group PL any PL"), "line 9: `PL` is no witness or group of an earlier line"),
        (line(9, "group PL any allies"), "line 9: `allies` is no witness or group of an earlier line"),
        (line(9, "group PL any poland poland"), "line 9: `poland` is a member already"),
        (line(9, "group PL 0 poland"), "line 9: `0` is not"),
        (line(9, "group PL 3 poland poland-pq"), "line 9: `3` is not"),
        (line(9, "group PL 01 poland poland-pq"), "line 9: `01` is not"),
        (line(9, "group PL +1 poland poland-pq"), "line 9: "),
        (line(9, "group PL \u0661 poland poland-pq"), "line 9: "),
        (line(9, "group PL one poland poland-pq"), "line 9: `one` is not"),
        (line(11, "group allies 2 PL poland japan"), "line 11: `poland` is a member already"),
        (line(12, "quorum"), "line 12: a quorum reads"),
        (line(12, "quorum allies PL"), "line 12: a quorum reads"),
        (line(12, "quorum nobody"), "line 12: `nobody` is no witness"),
        (line(12, ""), "no `quorum` line"),
        (line(10, "quorum PL"), "line 12: is a second `quorum`"),
        (line(10, "quorum allies"), "line 10: `allies` is no witness"),
        (line(10, "# a bell \x07"), "line 10: holds a control character"),
        (TEXT.replace(b"\n", b"\r\n"), "line 1: holds a control character"),
        (line(10, "# \x7f"), "line 10: holds a control character"),
        (TEXT[:-1], "line 12: breaks off"),
        (b"", "no `quorum` line"),
    ],
)
def test_what_is_not_of_the_form_is_refused_by_line(text, problem) -> None:
    """The message names the line, counted from 1."""
    with pytest.raises(Malformed) as raised:
        policy(text)
    assert problem in str(raised.value)


def test_one_ed25519_key_in_two_roles_is_refused() -> None:
    """A log that is its own witness proves nothing; a key is the same under another type and name."""
    same = Ed25519CosignatureSigner("w9.example", ed25519(1), lambda: TIME)
    with pytest.raises(Malformed, match="line 13: the key stands on an earlier line"):
        policy(TEXT + f"witness nine {format_vkey(same)}\n".encode())


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    """An id has 32 bits: among some hundred thousand keys two have the same, and no line of a note would say which."""
    seen: dict[int, bytes] = {}
    for public in (number.to_bytes(32) for number in range(2**20)):
        number = key_id("w", 0x04, public)
        if number in seen:
            break
        seen[number] = public
    first, second = (f"w+{number:08x}+{format_base64(bytes([0x04]) + key)}" for key in (seen[number], public))
    text = f"witness one {first}\nwitness two {second}\nquorum none\n"
    with pytest.raises(Malformed, match="line 2: another key of the same name has the same id"):
        policy(text.encode())


@pytest.mark.parametrize("kind", ["log", "witness", "group"])
def test_as_many_as_the_limit_read_and_one_more_does_not(kind) -> None:
    """The limit is above the 32 of each that the specification asks for."""
    assert MAX_OF_EACH >= 32

    def text(count: int) -> bytes:
        logs = [f"log {format_vkey(Ed25519Signer(ORIGIN, ed25519(i + 1)))}" for i in range(count)]
        witnesses = [
            f"witness w{i} {format_vkey(Ed25519CosignatureSigner('w', ed25519(i + 1), lambda: TIME))}"
            for i in range(count)
        ]
        groups = [f"group g{i} 1 {f'g{i - 1}' if i else 'poland'}" for i in range(count)]
        lines = {"log": logs, "witness": witnesses, "group": [f"witness poland {KEYS[2]}", *groups]}[kind]
        return "\n".join([*lines, "quorum none", ""]).encode()

    assert policy(text(MAX_OF_EACH)).quorum_met([])
    with pytest.raises(Malformed, match="limit of 128"):
        policy(text(MAX_OF_EACH + 1))


def test_groups_nest_as_deep_as_the_limit() -> None:
    """A chain of groups is followed from its foot to its head."""
    groups = [f"group g{i} 1 {f'g{i - 1}' if i else 'poland'}" for i in range(MAX_OF_EACH)]
    found = policy("\n".join([f"witness poland {KEYS[2]}", *groups, f"quorum g{MAX_OF_EACH - 1}", ""]).encode())
    assert found.quorum_met(["poland"])
    assert not found.quorum_met([])
    assert found.describe_quorum().startswith("1 of 1 (1 of 1 (")


def test_size_is_capped() -> None:
    """The limit is inclusive, and comes before anything else."""
    comment = b"#" * (MAX_POLICY_BYTES - len(TEXT) - 1) + b"\n"
    assert policy(TEXT + comment).logs
    with pytest.raises(TooLarge):
        policy(TEXT + b"#" + comment)


def test_a_policy_without_logs_reads_and_opens_nothing() -> None:
    """Who knows the log from elsewhere may still use the quorum."""
    found = policy(b"quorum none\n")
    assert found.quorum_met([])
    with pytest.raises(BadNote, match="no known key"):
        found.open(sign_checkpoint(CHECKPOINT, [LOG]))
