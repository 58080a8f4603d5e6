"""What a verifier keeps: it goes on as if it had never stopped, and takes nothing else for it."""

from collections.abc import Sequence
from typing import Any

import pytest

from ledger.errors import BadEntry, Malformed, OblikError
from ledger.log import canonical
from ledger.log.kept import FORMAT, format_kept, parse_kept, resume
from ledger.log.verify import Replica


def verified(entries: Sequence[bytes]) -> Replica:
    replica = Replica()
    for data in entries:
        replica.add(data)
    return replica


def resumed(entries: Sequence[bytes], size: int) -> Replica:
    """Keep what is verified at `size`, and come back."""
    kept = parse_kept(format_kept(verified(entries[:size])))
    return resume(kept, entries[0], entries[size - 1])


def state(replica: Replica) -> dict[str, Any]:
    return vars(replica) | {"edge": (replica.edge.size, replica.edge.hashes), "resumed": 0, "subtrees": []}


def test_a_resumed_replica_is_the_one_that_stopped(chain: Sequence[bytes]) -> None:
    """At every size it is the same, and goes on to the same end."""
    for size in range(1, len(chain) + 1):
        replica = resumed(chain, size)
        assert size == replica.resumed
        assert state(verified(chain[:size])) == state(replica)
        for data in chain[size:]:
            replica.add(data)
        assert state(verified(chain)) == state(replica)
        assert verified(chain).root() == replica.root()


def test_it_still_finds_what_does_not_follow(chain: Sequence[bytes]) -> None:
    """Any entry but the next one is refused."""
    for size in range(1, len(chain)):
        for seq, data in enumerate(chain):
            if seq != size:
                with pytest.raises(BadEntry):
                    resumed(chain, size).add(data)


def test_another_ledger_is_refused(chain: Sequence[bytes]) -> None:
    """The first entry and the last one verified have to be those that they were; the one that is not is named."""
    kept = parse_kept(format_kept(verified(chain[:5])))
    for first, last, named in ((chain[1], chain[4], 0), (chain[0], chain[3], 4), (chain[0], chain[4] + b" ", 4)):
        with pytest.raises(BadEntry, match="verified before") as caught:
            resume(kept, first, last)
        assert named == caught.value.seq


def test_of_no_entry_nothing_is_kept() -> None:
    """There would be nothing to know the ledger by."""
    with pytest.raises(ValueError, match="nothing to keep"):
        format_kept(Replica())


@pytest.mark.parametrize(
    "changes",
    [
        {"edge": "00" * 32},
        {"edge": "0"},
        {"edge": "zz" * 64},
        {"edge": "00" * 64 + "\n"},
        {"first": "ab" * 31},
        {"first": "AB" * 32},
        {"first": "ab" * 32 + "\n"},
        {"leaf": ""},
        {"format": "oblik-verified/2"},
        {"kinds": [["test.made", 1, 5]]},
        {"kinds": [["test.made", 1, -1]]},
        {"kinds": [["test.made", 1]]},
        {"kinds": {}},
        {"size": 0},
        {"size": 4},
        {"size": "5"},
        {"streams": {"org:o0": [3, 5]}},
        {"streams": {"org:o0": [-1, 4]}},
        {"streams": {"org:o0": [1]}},
        {"more": 1},
        {"streams": None},
    ],
)
def test_what_was_not_kept_by_us_is_refused(chain: Sequence[bytes], changes: dict[str, Any]) -> None:
    """One field wrong, missing or too many."""
    kept = canonical.decode(format_kept(verified(chain[:5])))
    assert kept["format"] == FORMAT
    changed = {name: value for name, value in (kept | changes).items() if value is not None}
    with pytest.raises(Malformed):
        parse_kept(canonical.encode(changed))


def test_every_cut_and_other_form_of_it_is_refused(chain: Sequence[bytes]) -> None:
    """Half a file, or one that somebody formatted."""
    data = format_kept(verified(chain[:5]))
    for other in (*(data[:i] for i in range(len(data))), data + b"\n", data.replace(b":", b": "), b"\xff" + data):
        with pytest.raises(OblikError):
            parse_kept(other)
