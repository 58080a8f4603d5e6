"""The fault matrix as values: for each step and fault, what the caller is told and what is left.

`docs/faults.md` is made of them, and the tests in `tests/faults` hold each of them: the page says what was seen.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}

FAILED, PERSISTED = "failed, and not persisted", "failed, but persisted"
KILLED_BEFORE, KILLED_AFTER = "killed before it was done", "killed after it was done"
FAULTS = (FAILED, PERSISTED, KILLED_BEFORE, KILLED_AFTER)

UNAVAILABLE, ANSWER, LOST, EXIT_2, NOT_POSSIBLE = "Unavailable", "an answer", "nothing", "exit code 2", "not possible"
TOLD = {
    UNAVAILABLE: "`Unavailable`",
    ANSWER: "the answer",
    LOST: "connection lost",
    EXIT_2: "exit code 2, *it was set back*",
}

ENTRY, ANCHOR, DATABASE, TILES, WITNESS = "entry", "anchor", "database", "tiles", "witness"
PUBLISHED = (ANCHOR, DATABASE, TILES, WITNESS)
PLACES = {ENTRY: "entries", ANCHOR: "anchor", DATABASE: "database", TILES: "tile store", WITNESS: "witness"}

WRITING, PUBLISHING, DISTRIBUTING, WITNESSING = "write", "publish", "distribute", "witness"


class Cell(Struct, frozen=True, kw_only=True):
    """What is seen right after a fault, and what of the new is there then."""

    row: str
    fault: str
    engine: str
    told: str
    left: frozenset[str] = frozenset()
    why: str = ""
    """How the fault is made, or why it is not possible."""

    @property
    def id(self) -> str:
        return "-".join(part.replace(" ", "_").replace(",", "") for part in (self.row, self.fault, self.engine) if part)


class Step(Struct, frozen=True, kw_only=True):
    """A step of the service, and its cells: (told, left) for each of `FAULTS`."""

    name: str
    kind: str
    means: str
    outcomes: tuple[tuple[str, tuple[str, ...]], ...]

    def cells(self) -> Iterator[Cell]:
        for fault, (told, left) in zip(FAULTS, self.outcomes, strict=True):
            for engine in ENGINES:
                yield Cell(row=self.name, fault=fault, engine=engine, told=told, left=frozenset(left))


NOTHING: tuple[str, ...] = ()
SIGNED = (ANCHOR, DATABASE)

STEPS = (
    Step(
        name="before the lock",
        kind=WRITING,
        means="the questions of a batch are evaluated, on a connection that breaks",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, NOTHING), (LOST, NOTHING), (LOST, NOTHING)),
    ),
    Step(
        name="after the lock",
        kind=WRITING,
        means="the head is read under the lock; done means that the lock is held",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, NOTHING), (LOST, NOTHING), (LOST, NOTHING)),
    ),
    Step(
        name="between insert and head",
        kind=WRITING,
        means="the entries are inserted, and the head not yet moved",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, NOTHING), (LOST, NOTHING), (LOST, NOTHING)),
    ),
    Step(
        name="at commit",
        kind=WRITING,
        means="COMMIT; persisted means that the database has it, and the connection broke before it could say so",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, (ENTRY,)), (LOST, NOTHING), (LOST, (ENTRY,))),
    ),
    Step(
        name="after commit, before the answer",
        kind=WRITING,
        means="memory runs out while callers are told; done means that they were",
        outcomes=((UNAVAILABLE, (ENTRY,)), (ANSWER, (ENTRY,)), (LOST, (ENTRY,)), (ANSWER, (ENTRY,))),
    ),
    Step(
        name="at signing",
        kind=PUBLISHING,
        means="the checkpoint is signed, in this process or by a token",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, NOTHING), (LOST, NOTHING), (LOST, NOTHING)),
    ),
    Step(
        name="at the anchor",
        kind=PUBLISHING,
        means="the file is replaced; persisted means that the disk fails when its folder is flushed",
        outcomes=((UNAVAILABLE, NOTHING), (UNAVAILABLE, (ANCHOR,)), (LOST, NOTHING), (LOST, (ANCHOR,))),
    ),
    Step(
        name="at swapping the publication",
        kind=PUBLISHING,
        means="the database's row is compared and swapped: it strikes at the first COMMIT of that",
        outcomes=((UNAVAILABLE, (ANCHOR,)), (UNAVAILABLE, SIGNED), (LOST, (ANCHOR,)), (LOST, SIGNED)),
    ),
    Step(
        name="at writing a tile",
        kind=DISTRIBUTING,
        means="the first of the new tiles is written",
        outcomes=((ANSWER, SIGNED),) * 4,
    ),
    Step(
        name="at replacing the checkpoint",
        kind=DISTRIBUTING,
        means="the tile store's checkpoint is replaced, after its tiles",
        outcomes=((ANSWER, SIGNED), (ANSWER, (*SIGNED, TILES)), (ANSWER, SIGNED), (ANSWER, (*SIGNED, TILES))),
    ),
    Step(
        name="at storing a witnessed size",
        kind=WITNESSING,
        means="the witness commits what it is about to cosign (to SQLite, whatever the log's engine is)",
        outcomes=((ANSWER, SIGNED), (ANSWER, (*SIGNED, WITNESS)), (ANSWER, SIGNED), (ANSWER, (*SIGNED, WITNESS))),
    ),
)
CELLS = tuple(cell for step in STEPS for cell in step.cells())


def both(row: str, told: str, left: Iterable[str], sqlite: str, postgresql: str) -> tuple[Cell, Cell]:
    """Give a row of the whole service with one outcome, and how the fault is made on each engine."""
    made = {"row": row, "fault": "", "told": told, "left": frozenset(left)}
    return Cell(engine=SQLITE, why=sqlite, **made), Cell(engine=POSTGRESQL, why=postgresql, **made)


def server_only(row: str, told: str, why: str) -> tuple[Cell, Cell]:
    return (
        Cell(row=row, fault="", engine=SQLITE, told=NOT_POSSIBLE, why="SQLite has no server, and no connection to one"),
        Cell(row=row, fault="", engine=POSTGRESQL, told=told, why=why),
    )


LOCKED, FULL, READ_ONLY = "the lock is held by another", "disk full, the database's", "read-only disk, the database's"
ANCHOR_FULL, ANCHOR_READ_ONLY = "disk full, the anchor's", "read-only disk, the anchor's"
CUT, RESTARTED = "connection cut in mid-batch", "server restarted in mid-batch"
CLOCK, PUBLISHERS, AGAIN = "clock stepping backwards", "two publishers at once", "answer lost, and asked again"
TWO_HISTORIES = "a witness asked with two histories at once"
BACK_ANCHOR = "older backup restored, the anchor kept"
BACK_TILES = "older backup restored, the tile store kept"
BACK_WITNESS = "older backup restored, a witness left"

WHOLE = (
    *both(
        LOCKED,
        UNAVAILABLE,
        NOTHING,
        "another connection is in `BEGIN IMMEDIATE` for longer than a writer waits",
        "another connection holds the head row for longer than a writer waits",
    ),
    *both(
        FULL,
        UNAVAILABLE,
        NOTHING,
        "`PRAGMA max_page_count` is what the file has: SQLite answers `SQLITE_FULL`",
        "the server answers with `disk_full` (53100), raised by a trigger on the entries",
    ),
    *both(
        READ_ONLY,
        UNAVAILABLE,
        NOTHING,
        "`PRAGMA query_only`, since nothing is read-only to root",
        "`default_transaction_read_only`, as on a standby",
    ),
    *both(
        ANCHOR_FULL,
        UNAVAILABLE,
        (ENTRY,),
        "the file that is written leads to `/dev/full`: the kernel answers `ENOSPC`; decisions go on",
        "the same",
    ),
    *both(
        ANCHOR_READ_ONLY,
        UNAVAILABLE,
        (ENTRY,),
        "opening a file of the data folder to write raises `EROFS`; decisions go on",
        "the same",
    ),
    *server_only(CUT, UNAVAILABLE, "`pg_terminate_backend` from another connection, while entries are appended"),
    *server_only(RESTARTED, UNAVAILABLE, "`pg_ctl restart -m immediate`, while entries are appended"),
    *both(
        CLOCK,
        ANSWER,
        (ENTRY, *SIGNED),
        "the clock is set back by a day; `at` stays, checkpoints go on",
        "the same",
    ),
    *both(
        PUBLISHERS,
        ANSWER,
        (ENTRY, *SIGNED),
        "two services sign different heads, and swap at the same moment; the larger one stays",
        "the same",
    ),
    *both(
        TWO_HISTORIES,
        ANSWER,
        (WITNESS,),
        "the log's keys sign a fork, and both requests are checked at once: one is cosigned, the other answered 409",
        "the same; the witness's memory is SQLite",
    ),
    *both(
        AGAIN,
        ANSWER,
        (ENTRY,),
        "COMMIT succeeds, and the connection breaks: a decision asked again is recorded again, a revocation is"
        " refused with 409, which tells the caller that the first was written",
        "the same",
    ),
    *both(
        BACK_ANCHOR,
        EXIT_2,
        NOTHING,
        "the copy of the file is put back; `last-checkpoint` is the newer",
        "the database is made anew from a copy (`CREATE DATABASE … TEMPLATE`); `last-checkpoint` is the newer",
    ),
    *both(
        BACK_TILES,
        EXIT_2,
        NOTHING,
        "`last-checkpoint` is lost too; the folder of tiles has a newer checkpoint",
        "the same, with the database made anew from a copy",
    ),
    *both(
        BACK_WITNESS,
        EXIT_2,
        NOTHING,
        "`last-checkpoint` is lost too; a witness has cosigned a newer checkpoint",
        "the same, with the database made anew from a copy",
    ),
)

# The page -------------------------------------------------------------------------------------------------------------

INTRODUCTION = """# Faults, and what survives them

What happens when a step of writing, publishing or witnessing fails, on each engine. Each cell is a test in
[tests/faults](../tests/faults), and this page is made from what they hold (`python tests/faults/make_page.py`).

**Told** is what the caller gets: the answer; `Unavailable`, which is 503 over HTTP and says that nothing was allowed;
a lost connection, since the process is gone; or, of a start, an exit code. Who is told `Unavailable`, or loses the
connection, does not know whether the entry was written. It is safe to ask again, since nothing was allowed: a decision
asked again is a second entry, and what can be done only once is refused the second time.

**Left** is what is there right after, before anything is tried again: of a write its entries, of a publication each
place that has the new checkpoint.

**After each fault** the test holds, besides what the cell says: all that was acknowledged is there; a batch is there as
a whole or not at all; the ledger verifies, and replays without a finding; every checkpoint that anyone could have seen,
in the database, the anchor, the tile store or at the witness, is of a tree with which the ledger begins; the next write
and the next checkpoint succeed, in the same process where it lives, in a new one where it was killed.

*Failed, and not persisted*: an error came instead of the step. *Failed, but persisted*: the step took effect, and an
error came instead of its result; before COMMIT there is nothing yet that could persist. *Killed*: a real process, by
SIGKILL, at that instruction. A batch is a decision and three entries of a command.
"""

STEPS_HEAD = """## Step by step

| step | what it is |
|---|---|
"""

CELLS_HEAD = """
| step | fault | SQLite | PostgreSQL |
|---|---|---|---|
"""

WHOLE_HEAD = """
## The whole service

| fault | engine | how it is made | told and left |
|---|---|---|---|
"""

LAST = """
An older backup is found out by whoever remembers more: at its start a service asks the anchor, the tile store and the
witnesses. Where all of them were set back together, or are not reached, [nothing here notices](threat-model.md).
"""


def page() -> str:
    """Give `docs/faults.md`."""
    steps = "".join(f"| {step.name} | {step.means} |\n" for step in STEPS)
    rows = "".join(_row(step, fault) for step in STEPS for fault in FAULTS)
    whole = "".join(f"| {c.row} | {ENGINES[c.engine]} | {c.why} | {_says(c)} |\n" for c in WHOLE)
    return f"{INTRODUCTION}\n{STEPS_HEAD}{steps}{CELLS_HEAD}{rows}{WHOLE_HEAD}{whole}{LAST}"


def _row(step: Step, fault: str) -> str:
    found = {cell.engine: _says(cell) for cell in CELLS if (cell.row, cell.fault) == (step.name, fault)}
    return f"| {step.name} | {fault} | {' | '.join(found[engine] for engine in ENGINES)} |\n"


def _says(cell: Cell) -> str:
    if cell.told == NOT_POSSIBLE:
        return NOT_POSSIBLE
    left = [PLACES[place] for place in (ENTRY, *PUBLISHED) if place in cell.left]
    return f"told: {TOLD[cell.told]}; left: {', '.join(left) or 'nothing'}"
