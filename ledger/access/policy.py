"""Policies: a Casbin model and a table of rows over clauses, from text, by digest.

A row names the action, the tier, the clause, the effect, and the sentence shown to people in English and Ukrainian:

    p, *,     *, not grant_current, deny,  "A grant has to be in force.", "Має діяти дозвіл."
    p, train, *, always,            allow, "Training is open …",          "Навчання відкрите …"

`*` is every action or tier. A row that allows takes a clause of `ledger.access.clauses`, or `always`; a row that denies
takes `not` and a clause. So a clause always says what must be so, and one more that holds never turns an allow into a
deny. Allow needs a row that allows and none that denies. A line is a row, a comment (`#`) or empty.

Casbin decides. Its model is held to the definitions below, whose matcher is what gives a row its meaning: under another
one the same rows would say something else than people read in them. They see nothing but the action, the tier and which
clauses hold, so the result is remembered under these.
"""

import csv
import hashlib
import threading
from collections.abc import Iterator

import casbin
from msgspec import Struct

from ledger.access.clauses import CLAUSES
from ledger.access.vocabulary import ACTIONS, TIERS
from ledger.errors import Malformed, TooLarge, show
from ledger.log.canonical import encode

MAX_TEXT_BYTES = 1_048_576
"""Of a model or a table: what a person can be asked to read is far less."""

MAX_REMEMBERED = 10_000
"""Effects kept for each policy, about 200 bytes each; there are few combinations in practice."""

ALWAYS = "always"
NOT = "not "
COLUMNS = 7

DEFINITIONS = (
    "[request_definition]",
    "r = sub, act, res, ctx",
    "[policy_definition]",
    "p = act, tier, clause, eft, en, uk",
    "[policy_effect]",
    "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    "[matchers]",
    'm = (p.act == "*" || p.act == r.act) && (p.tier == "*" || p.tier == r.ctx.tier) && says(r.ctx, p.clause)',
)
"""What model.conf says, apart from comments, empty lines and the width of spaces."""

MODEL_HELP = "model.conf says how rows are read, and is the same for every policy; the rules are the rows"
EFFECT_HELP = "a row that denies takes `not` and a clause; one that allows takes a clause, or `always`"


class Row(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    action: str
    tier: str
    clause: str
    effect: str
    en: str
    uk: str

    @property
    def name(self) -> str:
        """The clause's name, without `not`."""
        return self.clause.removeprefix(NOT)


class _Context:
    """What the matcher sees as `r.ctx`."""

    def __init__(self, tier: str, held: frozenset[str]) -> None:
        self.tier = tier
        self.held = held


class Policy:
    """A policy, ready to decide. Safe to be used from several threads."""

    def __init__(self, name: str, digest: str, rows: tuple[Row, ...], model: casbin.Model) -> None:
        self.name = name
        self.digest = digest
        self.rows = rows
        self.clauses = tuple(dict.fromkeys(row.name for row in rows if row.name != ALWAYS))
        """Names of the clauses that rows name, in their order, each once."""
        self.sentences = _sentences(rows)
        """For each clause the row whose sentence states it."""
        self._applicable = {(action, tier): self._clauses_at(action, tier) for action in ACTIONS for tier in TIERS}
        self._lock = threading.Lock()
        self._enforcer = casbin.Enforcer(model)
        self._enforcer.add_function("says", _says)
        for row in rows:
            self._enforcer.model.add_policy("p", "p", [row.action, row.tier, row.clause, row.effect, row.en, row.uk])
        self._remembered: dict[tuple[str, str, frozenset[str]], bool] = {}

    def clauses_at(self, action: str, tier: str) -> tuple[str, ...]:
        """Name the clauses that a decision at `action` and `tier` depends on, in the rows' order, each once."""
        return self._applicable.get((action, tier), ())

    def _clauses_at(self, action: str, tier: str) -> tuple[str, ...]:
        rows = [row for row in self.rows if row.action in {"*", action} and row.tier in {"*", tier}]
        return tuple(dict.fromkeys(row.name for row in rows if row.name != ALWAYS))

    def permits(self, action: str, tier: str, held: frozenset[str]) -> bool:
        """Tell whether the policy allows, given the clauses that hold."""
        key = (action, tier, held)
        found = self._remembered.get(key)
        if found is None:
            found = self.permits_plain(action, tier, held)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def permits_plain(self, action: str, tier: str, held: frozenset[str]) -> bool:
        """Tell the same by asking Casbin, and nothing else."""
        with self._lock:
            return bool(self._enforcer.enforce("subject", action, "resource", _Context(tier, held)))


def _sentences(rows: tuple[Row, ...]) -> dict[str, Row]:
    """Choose for each clause the first row that denies without it, or else the first that allows with it."""
    found: dict[str, Row] = {}
    for effect in ("deny", "allow"):
        for row in rows:
            if row.effect == effect:
                found.setdefault(row.name, row)
    return found


def _says(context: _Context, clause: str) -> bool:
    """Tell what a row's clause says of the context."""
    if clause == ALWAYS:
        return True
    if clause.startswith(NOT):
        return clause.removeprefix(NOT) not in context.held
    return clause in context.held


def digest_of(model: str, rows: str) -> str:
    """Give the digest by which a policy is adopted: SHA-256, in hex, over both texts."""
    return hashlib.sha256(encode({"model": model, "rows": rows})).hexdigest()


def load_policy(name: str, model: str, rows: str) -> Policy:
    """Make a policy from its two texts.

    Raises TooLarge, or Malformed at the line, counted from 1 (`/model/12`, `/rows/7`), where it cannot be one.
    """
    for pointer, text in (("/model", model), ("/rows", rows)):
        check_text(text, pointer)
    table = _parse_rows(rows)
    policy = Policy(name, digest_of(model, rows), table, _parse_model(model))
    _check_default(policy)
    return policy


def check_text(text: str, pointer: str) -> None:
    """Raise TooLarge, or Malformed where a text has no bytes."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Malformed(pointer, f"holds half of a surrogate pair at character {error.start}") from None
    if size > MAX_TEXT_BYTES:
        raise TooLarge(f"the text at {pointer}", limit=MAX_TEXT_BYTES)


def read_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line that is no comment and not empty, with its number. Only a line feed ends a line."""
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _parse_model(text: str) -> casbin.Model:
    """Hold the text to DEFINITIONS. Casbin is given these lines, so that it cannot read the text differently."""
    lines = list(read_lines(text))
    for (number, line), expected in zip(lines, DEFINITIONS, strict=False):
        if line.split() != expected.split():
            raise Malformed(f"/model/{number}", f"{show(line)} is not `{expected}`", help=MODEL_HELP)
    if len(lines) < len(DEFINITIONS):
        raise Malformed("/model", f"ends before `{DEFINITIONS[len(lines)]}`", help=MODEL_HELP)
    if len(lines) > len(DEFINITIONS):
        number, line = lines[len(DEFINITIONS)]
        raise Malformed(f"/model/{number}", f"{show(line)} is one definition too many", help=MODEL_HELP)
    model = casbin.Model()
    model.load_model_from_text("\n".join(DEFINITIONS))
    return model


def _parse_rows(text: str) -> tuple[Row, ...]:
    rows: dict[tuple[str, ...], Row] = {}
    for number, line in read_lines(text):
        pointer = f"/rows/{number}"
        row = _row(read_cells(line, pointer), pointer)
        if rows.setdefault((row.action, row.tier, row.clause, row.effect), row) is not row:
            raise Malformed(pointer, "says what an earlier row says", help="each rule stands once, with one sentence")
    if not any(row.effect == "allow" for row in rows.values()):
        raise Malformed("/rows", "has no row that allows", help="nothing could ever be allowed")
    return tuple(rows.values())


def read_cells(line: str, pointer: str) -> list[str]:
    """Part one line into cells (RFC 4180 §2, with spaces after commas), each on that line. Raises Malformed."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True, strict=True))]
    except csv.Error as error:
        raise Malformed(pointer, f"is no CSV: {error}") from None


def _row(cells: list[str], pointer: str) -> Row:
    if len(cells) != COLUMNS or cells[0] != "p":
        raise Malformed(pointer, f"does not have {COLUMNS} columns", help="p, action, tier, clause, effect, en, uk")
    row = Row(action=cells[1], tier=cells[2], clause=cells[3], effect=cells[4], en=cells[5], uk=cells[6])
    negated = row.clause.startswith(NOT)
    for value, known, what in (
        (row.action, (*ACTIONS, "*"), "action"),
        (row.tier, (*TIERS, "*"), "tier"),
        (row.name, (*CLAUSES, ALWAYS), "clause"),
        (row.effect, ("allow", "deny"), "effect"),
    ):
        if value not in known:
            raise Malformed(pointer, f"{show(value)} is no {what}", help=f"one of {', '.join(known)}")
    if negated != (row.effect == "deny") or (negated and row.name == ALWAYS):
        raise Malformed(pointer, f"{show(row.clause)} cannot {row.effect}", help=EFFECT_HELP)
    if not row.en or not row.uk:
        raise Malformed(pointer, "has no sentence for people", help="every row says, in both languages, what it means")
    return row


def _check_default(policy: Policy) -> None:
    """Refuse a policy that allows while no clause holds: the default is to deny."""
    for action in ACTIONS:
        for tier in TIERS:
            if policy.permits_plain(action, tier, frozenset()):
                raise Malformed("/rows", f"allows `{action}` at `{tier}` while no clause holds")
