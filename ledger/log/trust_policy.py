"""Trust policies (C2SP tlog-policy): which logs a verifier knows, and which witnesses have to have cosigned.

    # two of the three allied states have to have seen it
    log ledger.mod.example/oblik+<hex id>+<base64 key> https://ledger.mod.example/
    witness poland witness.pl.example+<hex id>+<base64 key>
    witness estonia witness.ee.example+<hex id>+<base64 key>
    witness japan witness.jp.example+<hex id>+<base64 key>
    group allies 2 poland estonia japan
    quorum allies

Items stand apart by spaces and tabs; `#` begins a line of comment. A line refers only to names of lines before it, so
that groups make no circle, and a name is a member at most once, so that a witness counts in one way only. Names are
opaque octets; here they are text, by `surrogateescape` where they are not UTF-8.

Lines of one log name are keys of one log, and any of them speaks for it: 0x01, or 0x06 under the log's own name. A
witness's key is 0x04 or 0x06; one that has both is two lines, and a `group <name> any` that joins them.
"""

import re
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from ledger.errors import BadCheckpoint, BadNote, Malformed, TooLarge, show
from ledger.log.checkpoint import Checkpoint, parse_checkpoint
from ledger.log.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE, cosigned_at, parse_vkey
from ledger.log.note import ED25519, Verifier, open_note, parse_note, split_vkey

MAX_POLICY_BYTES = 1_000_000
"""As many keys as are allowed, all of ML-DSA-44 (1,800 characters each), with addresses and comments."""

MAX_OF_EACH = 128
"""Logs, witnesses and groups; C2SP asks for 32 of each."""

NO_QUORUM = "none"
"""The name that asks for no cosignature; no witness or group may have it."""

LOG_KEYS = (ED25519, ML_DSA_44_COSIGNATURE)
WITNESS_KEYS = (ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE)

_is_octets = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_number = re.compile(r"[1-9][0-9]{0,8}").fullmatch


class LogKey(Struct, frozen=True):
    """A key of a log; the verifier's name is the log's origin. `url` is "" where the line has none."""

    verifier: Verifier
    vkey: str
    url: str


class Witness(Struct, frozen=True):
    """A witness, by the name that it has in this policy alone."""

    name: str
    verifier: Verifier
    vkey: str
    url: str


class Group(Struct, frozen=True):
    """`threshold` of the members, witnesses or groups of earlier lines, have to have witnessed."""

    name: str
    threshold: int
    members: tuple[str, ...]


class Trusted(Struct, frozen=True, kw_only=True):
    """A checkpoint that a known log signed."""

    checkpoint: Checkpoint
    log_keys: tuple[tuple[str, int], ...]
    """(name, key id) of each of the log's own keys that signed, in the order of the lines."""
    cosigned: dict[str, int]
    """For each witness of the policy that cosigned, by its name there, the POSIX seconds it states."""
    quorum_met: bool
    needed: str
    """Which witnesses the policy asks for, in words."""

    def check_quorum(self) -> None:
        """Raise BadCheckpoint unless the witnesses that cosigned are as many as the policy asks for."""
        if not self.quorum_met:
            found = ", ".join(self.cosigned) or "none"
            raise BadCheckpoint(f"too few witnesses cosigned the checkpoint: {found}, where it takes {self.needed}")


class Policy(Struct, frozen=True, kw_only=True):
    """A trust policy, as the file has it."""

    logs: tuple[LogKey, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str
    """Name of a witness or a group, or NO_QUORUM."""

    def open(self, note: bytes, origin: str | None = None) -> Trusted:
        """Open a checkpoint that one of the logs signed: the one called `origin`, where that is given.

        A known key's signature that does not verify refuses the whole, whoever else signed. Whether the quorum is met
        is told, and left to the caller. Raises BadNote or BadCheckpoint.
        """
        known = [*(log.verifier for log in self.logs), *(witness.verifier for witness in self.witnesses)]
        opened = open_note(note, known)
        checkpoint = parse_checkpoint(opened.text)
        if origin not in (None, checkpoint.origin):
            raise BadCheckpoint(f"the checkpoint is of {show(checkpoint.origin)}, not of {show(origin)}")
        own = {_identity(log.verifier) for log in self.logs if log.verifier.name == checkpoint.origin}
        log_keys = tuple(key for key in opened.signed_by if key in own)
        if not log_keys:  # a witness's word alone is not the log's
            raise BadCheckpoint(f"no known key of {show(checkpoint.origin)} itself signed the checkpoint")
        cosigned = self._cosigned(note)
        return Trusted(
            checkpoint=checkpoint,
            log_keys=log_keys,
            cosigned=cosigned,
            quorum_met=self.quorum_met(cosigned),
            needed=self.describe_quorum(),
        )

    def quorum_met(self, names: Collection[str]) -> bool:
        """Whether these witnesses are enough."""
        met = {NO_QUORUM, *names}
        for group in self.groups:  # each comes after its members
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met

    def describe_quorum(self) -> str:
        """Give the quorum in words: `2 of 3 (poland, estonia, japan)`."""
        words = {NO_QUORUM: "no witness", **{witness.name: witness.name for witness in self.witnesses}}
        for group in self.groups:
            members = ", ".join(words[member] for member in group.members)
            words[group.name] = f"{group.threshold} of {len(group.members)} ({members})"
        return words[self.quorum]

    def _cosigned(self, note: bytes) -> dict[str, int]:
        """Give the time of each witness's cosignature; a note that is open has verified them all."""
        names = {_identity(witness.verifier): witness.name for witness in self.witnesses}
        _, signatures = parse_note(note)
        return {names[name, number]: cosigned_at(blob) for name, number, blob in signatures if (name, number) in names}


def parse_policy(data: bytes) -> Policy:
    """Read a policy file. Raises TooLarge, or Malformed with the number of the line that is not as it should be."""
    if len(data) > MAX_POLICY_BYTES:
        raise TooLarge("the policy", limit=MAX_POLICY_BYTES)
    lines = data.split(b"\n")
    if lines.pop():
        raise Malformed("", f"line {len(lines) + 1}: breaks off", help="every line ends in a newline")
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        try:
            reader.read(line)
        except (Malformed, BadNote) as error:
            raise Malformed("", f"line {number}: {error.problem}", help=error.help) from None
    return reader.policy()


def _identity(verifier: Verifier) -> tuple[str, int]:
    return verifier.name, verifier.key_id


class _Reader:
    """Takes a policy's lines, one after the other."""

    def __init__(self) -> None:
        self._logs: list[LogKey] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()
        self._keys: set[bytes] = set()
        self._identities: set[tuple[str, int]] = set()

    def read(self, line: bytes) -> None:
        """Read one line, without its newline. Raises Malformed or BadNote."""
        if not _is_octets(line):
            raise Malformed("", "holds a control character other than a tab")
        keyword, *items = [item.decode(errors="surrogateescape") for item in re.split(rb"[ \t]+", line.strip(b" \t"))]
        if not keyword or keyword.startswith("#"):
            return
        readers: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._set_quorum,
        }
        if keyword not in readers:
            raise Malformed("", f"{show(keyword)} is no keyword", help="log, witness, group or quorum")
        readers[keyword](items)

    def policy(self) -> Policy:
        """Give the whole. Raises Malformed where no line said the quorum."""
        if self._quorum is None:
            raise Malformed("", "the policy has no `quorum` line", help="`quorum none` asks for no witness")
        return Policy(
            logs=tuple(self._logs), witnesses=tuple(self._witnesses), groups=tuple(self._groups), quorum=self._quorum
        )

    def _log(self, items: list[str]) -> None:
        match items:
            case [vkey, *url] if len(url) <= 1:
                self._check_room(self._logs)
                self._logs.append(LogKey(self._key(vkey, LOG_KEYS), vkey, "".join(url)))
            case _:
                raise Malformed("", "a log reads `log <vkey> [<url>]`")

    def _witness(self, items: list[str]) -> None:
        match items:
            case [name, vkey, *url] if len(url) <= 1:
                self._check_room(self._witnesses)
                self._define(name)
                self._witnesses.append(Witness(name, self._key(vkey, WITNESS_KEYS), vkey, "".join(url)))
            case _:
                raise Malformed("", "a witness reads `witness <name> <vkey> [<url>]`")

    def _group(self, items: list[str]) -> None:
        match items:
            case [name, threshold, *members] if members:
                self._check_room(self._groups)
                for member in members:
                    self._join(member)
                self._define(name)
                self._groups.append(Group(name, _threshold(threshold, len(members)), tuple(members)))
            case _:
                raise Malformed("", "a group reads `group <name> all|any|<number> <member>…`")

    def _set_quorum(self, items: list[str]) -> None:
        if self._quorum is not None:
            raise Malformed("", "is a second `quorum`")
        match items:
            case [name] if name == NO_QUORUM or name in self._names:
                self._quorum = name
            case [name]:
                raise Malformed("", f"{show(name)} is no witness or group of an earlier line")
            case _:
                raise Malformed("", "a quorum reads `quorum <name>` or `quorum none`")

    def _key(self, vkey: str, types: Sequence[int]) -> Verifier:
        """Read a key. Whoever signs with it does so as one log or one witness: no second line may have it."""
        verifier = parse_vkey(vkey)
        _, algorithm, public = split_vkey(vkey)
        if algorithm not in types:
            wanted = " or ".join(f"{kind:#04x}" for kind in types)
            raise Malformed("", f"the key is of type {algorithm:#04x}, where it takes {wanted}")
        if public in self._keys:
            raise Malformed("", "the key stands on an earlier line, be it under another name")
        if _identity(verifier) in self._identities:  # ids have 32 bits
            raise Malformed("", "another key of the same name has the same id")
        self._keys.add(public)
        self._identities.add(_identity(verifier))
        return verifier

    def _define(self, name: str) -> None:
        if name == NO_QUORUM or name in self._names:
            raise Malformed("", f"the name {show(name)} is taken")
        self._names.add(name)

    def _join(self, member: str) -> None:
        if member not in self._names:
            raise Malformed("", f"{show(member)} is no witness or group of an earlier line")
        if member in self._members:
            raise Malformed("", f"{show(member)} is a member already", help="each is a member once, in one group")
        self._members.add(member)

    @staticmethod
    def _check_room(defined: Sequence[Struct]) -> None:
        if len(defined) >= MAX_OF_EACH:
            raise Malformed("", f"is one more than the limit of {MAX_OF_EACH} of its kind")


def _threshold(text: str, count: int) -> int:
    number = {"any": 1, "all": count}.get(text) or (int(text) if _is_number(text) else 0)
    if not 1 <= number <= count:
        raise Malformed("", f"{show(text)} is not `all`, `any` or a number from 1 to {count}")
    return number
