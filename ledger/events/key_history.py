"""Which keys sign the log's checkpoints, at each of its sizes: a fold over its entries.

    history = KeyHistory()
    for entry in entries:
        history.add(entry)
    history.in_force                  the keys that sign a checkpoint over these entries
    history.in_force_at(size)         the keys that signed one over the first `size` of them

The keys of entry 0 are trusted from elsewhere; every later one has the word of a key before it:

1. A key is introduced by a key in force of its own type, whose proof binds it to that place in the history. So
   whoever breaks one type of signature cannot bring in keys of the other.
2. It has the log's name, and never was in force: a key that was retired does not come back.
3. A key that is retired is in force, and not the last of its type.

A checkpoint over n entries is the log's if each key in force after entry n - 1 signed it.
"""

from collections.abc import Iterable

from ledger.errors import BadEntry, BadNote, Malformed, show
from ledger.events.catalogue import event_of, replayable
from ledger.events.keys import LogKeyIntroduced, LogKeyRetired
from ledger.events.registry import LedgerOpened
from ledger.log.cosignature import parse_vkey
from ledger.log.entry import Entry
from ledger.log.introduction import check_introduction
from ledger.log.note import split_vkey

KINDS = frozenset({LogKeyIntroduced.KIND, LogKeyRetired.KIND})
"""Kinds of entries that change the keys; entry 0 does too."""


def key_type(vkey: str) -> int:
    """Give the type byte of a verifier key. Raises BadNote."""
    return split_vkey(vkey)[1]


def key_label(vkey: str) -> str:
    """Give `<name>+<hex key id>`, by which people and signature lines tell a key."""
    return "+".join(vkey.split("+", 2)[:2])


def keys_after(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Give the keys in force after these entries, which begin with entry 0. Raises BadEntry."""
    history = KeyHistory()
    for entry in entries:
        history.add(entry)
    return history.in_force


class KeyHistory:
    """The log's keys as far as its entries were added."""

    def __init__(self) -> None:
        self._origin = ""
        self._introduced: dict[str, int] = {}
        self._retired: dict[str, int] = {}

    @property
    def ever(self) -> tuple[str, ...]:
        """Every key that ever was in force, in the order in which they came."""
        return tuple(self._introduced)

    @property
    def in_force(self) -> tuple[str, ...]:
        """The keys in force after the last entry that was added."""
        return tuple(vkey for vkey in self._introduced if vkey not in self._retired)

    def in_force_at(self, size: int) -> tuple[str, ...]:
        """Give the keys in force after the first `size` entries."""
        return tuple(
            vkey for vkey, seq in self._introduced.items() if seq < size and not self._retired.get(vkey, size) < size
        )

    def add(self, entry: Entry) -> None:
        """Take the next entry. Raises BadEntry where it changes the keys against the rules, and is then unchanged."""
        if entry.seq != 0 and entry.kind not in KINDS:
            return
        event = event_of(entry) if replayable(entry) else None
        try:
            if entry.seq == 0:
                self._open(event)
            elif isinstance(event, LogKeyIntroduced):
                self._introduce(event, entry)
            elif isinstance(event, LogKeyRetired):
                self._retire(event, entry.seq)
        except (BadNote, Malformed) as error:
            raise BadEntry(entry.seq, str(error)) from None

    def _open(self, event: object) -> None:
        if not isinstance(event, LedgerOpened):
            raise BadEntry(0, "is not `ledger.opened`")
        for vkey in event.vkeys:
            _check_name(vkey, event.origin)
        self._origin = event.origin
        self._introduced = dict.fromkeys(event.vkeys, 0)

    def _introduce(self, event: LogKeyIntroduced, entry: Entry) -> None:
        _check_name(event.vkey, self._origin)
        if key_label(event.vkey) in map(key_label, self._introduced):
            raise BadEntry(entry.seq, f"introduces the key {show(key_label(event.vkey))}, which was in force before")
        same = [vkey for vkey in self.in_force if key_type(vkey) == key_type(event.vkey)]
        try:
            check_introduction(event.proof, vkey=event.vkey, prev=entry.prev, by=same)
        except BadNote as error:
            problem = f"introduces the key {show(key_label(event.vkey))} without the word of a key in force of its type"
            raise BadEntry(entry.seq, f"{problem}: {error}") from None
        self._introduced[event.vkey] = entry.seq

    def _retire(self, event: LogKeyRetired, seq: int) -> None:
        if event.vkey not in self.in_force:
            raise BadEntry(seq, f"retires the key {show(key_label(event.vkey))}, which is not in force")
        if is_last_of_type(event.vkey, self.in_force):
            raise BadEntry(seq, f"retires the key {show(key_label(event.vkey))}, which is the last of its type")
        self._retired[event.vkey] = seq


def is_last_of_type(vkey: str, in_force: Iterable[str]) -> bool:
    """Tell whether no other key in force has the type of this one. Raises BadNote."""
    return not any(key_type(other) == key_type(vkey) for other in in_force if other != vkey)


def _check_name(vkey: str, origin: str) -> None:
    if parse_vkey(vkey).name != origin:
        raise BadNote(f"the key {show(key_label(vkey))} does not have the log's name, {show(origin)}")
