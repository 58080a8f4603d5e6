"""Mounted policies: plain Casbin over the properties of subjects and resources, for types that a folder names.

A folder has four texts. `model.conf` is a Casbin model with `r = sub, act, res, ctx`, whose rows end in `eft, en, uk`:

    p = act, when, eft, en, uk
    m = (p.act == "*" || p.act == r.act.name) && eval(p.when)

`policy.csv` has its rows, with the sentences that people are told. Allow needs a row that allows and none that denies:

    p, write, "r.res.status == 'archived'", deny, "An archived record …", "Архівний запис …"

`mount.json` names the types and actions that the policy is for, and for each the properties that a request may bring
along; what is not named there is not read from a request. `facts.json` has the subjects and resources that are known:

    {"subjects": {"user": ["role"]}, "actions": {"read": []}, "resources": {"record": ["status"]}, "context": []}
    {"subjects": [{"type": "user", "id": "bob", "properties": {"role": "admin"}}], "resources": []}

A matcher sees `type`, `id` (an action's `name`), `known` (whether `facts.json` has it) and the properties. One that is
not there is an error, and an error denies: `has(r.sub, 'role') && …` asks first.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

import casbin
import msgspec
from msgspec import Struct

from ledger.access.policy import DEFINITIONS, check_text, read_cells, read_lines
from ledger.access.request import check_id
from ledger.access.vocabulary import RESOURCE_TYPES
from ledger.errors import Malformed, TooLarge, show
from ledger.log.canonical import encode

MAX_ROWS = 200
"""Rows of a mounted policy. Casbin evaluates the text of each, at about 20 µs: rules, not grants."""

MAX_FACTS = 10_000
"""Subjects and resources of `facts.json`, together."""

MAX_PROPERTIES = 50
"""Properties of one subject or resource, or that a request may bring along for one."""

MAX_TEXT_CHARACTERS = 1_024
"""Of a property's text."""

MAX_LISTED = 100
"""Values of a property that is a list."""

MAX_INTEGER = 2**53 - 1
"""What every reader of JSON agrees on (RFC 8785)."""

MAX_REMEMBERED_OUTCOMES = 10_000
"""Outcomes kept for each policy, about 200 bytes each."""

SENTENCES = ("eft", "en", "uk")
RESERVED = ("id", "known", "name", "type")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
_CHANGED = re.compile(r"\b[rp]\d*\.|&&|\|\||!")
_COLUMNS = re.compile(r"p = ([a-z][a-z0-9_]*(?:, [a-z][a-z0-9_]*)*)")

_silent = logging.getLogger(f"{__name__}.casbin")
_silent.setLevel(logging.CRITICAL + 1)  # `disabled` would be undone by whoever configures logging

Value = str | bool | int | tuple[str, ...]
"""A property: no number with a fraction, since not all readers read those alike."""


class Brought(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mount.json`: types and actions, with the names of the properties that a request may bring along."""

    subjects: dict[str, tuple[str, ...]]
    actions: dict[str, tuple[str, ...]]
    resources: dict[str, tuple[str, ...]]
    context: tuple[str, ...] = ()


class Known(Struct, frozen=True, forbid_unknown_fields=True):
    """A subject or a resource of `facts.json`."""

    type: str
    id: str
    properties: dict[str, Value] = {}


class StoredFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`facts.json`."""

    subjects: tuple[Known, ...] = ()
    resources: tuple[Known, ...] = ()


class Texts(Struct, frozen=True, kw_only=True):
    """The four texts of a folder."""

    model: str
    rows: str
    mount: str
    facts: str


class Row(Struct, frozen=True, kw_only=True):
    """One row: where it stands, what Casbin is given of it, and its sentences."""

    line: int
    cells: tuple[str, ...]
    en: str
    uk: str


class Entity:
    """What a matcher sees of a subject, an action, a resource or the context: values by name, and nothing else."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values


class MountedPolicy:
    """A mounted policy, ready to decide. Safe to be used from several threads."""

    def __init__(  # noqa: PLR0917
        self, name: str, digest: str, rows: tuple[Row, ...], model: casbin.Model, brought: Brought, facts: StoredFacts
    ) -> None:
        self.name = name
        self.digest = digest
        self.brought = brought
        self.subjects = {(known.type, known.id): known.properties for known in facts.subjects}
        self.resources = {(known.type, known.id): known.properties for known in facts.resources}
        self.rows = {row.cells: row for row in rows}
        self._lock = threading.Lock()
        self._enforcer = _enforcer(model)
        for row in rows:
            self._enforcer.model.add_policy("p", "p", list(row.cells))
        self._remembered: dict[bytes, tuple[bool, Row | None]] = {}

    def enforce(self, key: bytes, *entities: Entity) -> tuple[bool, Row | None]:
        """Tell whether the policy allows, and the row that decided it, None where no row applies.

        `key` stands for everything that the entities hold. Raises whatever the evaluation of a row raises.
        """
        found = self._remembered.get(key)
        if found is None:
            found = self.enforce_plain(*entities)
            if len(self._remembered) >= MAX_REMEMBERED_OUTCOMES:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def enforce_plain(self, *entities: Entity) -> tuple[bool, Row | None]:
        """Tell the same by asking Casbin, and nothing else."""
        with self._lock:
            allowed, cells = self._enforcer.enforce_ex(*entities)
        return bool(allowed), self.rows[tuple(cells)] if cells else None


def _enforcer(model: casbin.Model) -> casbin.Enforcer:
    enforcer = casbin.Enforcer(model)
    enforcer.add_function("has", _has)
    enforcer.logger = _silent  # Casbin's own would write every deny to stderr, with what was asked
    return enforcer


def _has(entity: Entity, name: str) -> bool:
    return name in entity


def digest_of(texts: Texts) -> str:
    """Give the digest by which a folder is mounted: SHA-256, in hex, over all four texts."""
    return hashlib.sha256(encode(msgspec.structs.asdict(texts))).hexdigest()


def load_mounted(name: str, texts: Texts) -> MountedPolicy:
    """Make a policy from the texts of its folder.

    Raises TooLarge, or Malformed at the text, and where it has lines at the line, at which it cannot be one.
    """
    for what, text in msgspec.structs.asdict(texts).items():
        check_text(text, f"/{what}")
    columns, model = _parse_model(texts.model)
    rows = _parse_rows(texts.rows, columns)
    _check_rows(rows, model)
    brought: Brought = _read(texts.mount, Brought, "/mount")
    facts: StoredFacts = _read(texts.facts, StoredFacts, "/facts")
    _check_brought(brought)
    _check_facts(brought, facts)
    return MountedPolicy(name, digest_of(texts), rows, model, brought, facts)


def _parse_model(text: str) -> tuple[tuple[str, ...], casbin.Model]:
    """Hold the text to what every model says; give the columns of a row. Casbin is given these lines alone."""
    lines = [" ".join(line.split()) for _, line in read_lines(text)]
    if len(lines) != len(DEFINITIONS):
        raise Malformed("/model", f"has {len(lines)} definitions, not {len(DEFINITIONS)}", help="see docs/policies.md")
    for line, expected in zip([*lines[:3], *lines[4:7]], [*DEFINITIONS[:3], *DEFINITIONS[4:7]], strict=True):
        if line != expected:
            raise Malformed("/model", f"{show(line)} is not `{expected}`", help="see docs/policies.md")
    columns = _COLUMNS.fullmatch(lines[3])
    names = tuple(columns[1].split(", ")) if columns else ()
    if names[-3:] != SENTENCES or len(set(names)) != len(names):
        raise Malformed("/model", f"{show(lines[3])} does not end in `eft, en, uk`", help="p = act, when, eft, en, uk")
    if not lines[7].startswith("m = ") or any(_CHANGED.search(text) for text in _LITERAL.findall(lines[7])):
        raise Malformed("/model", f"{show(lines[7])} is no matcher", help="it starts with `m = `")
    model = casbin.Model()
    model.load_model_from_text("\n".join(lines))
    return names, model


def _parse_rows(text: str, columns: tuple[str, ...]) -> tuple[Row, ...]:
    rows: dict[tuple[str, ...], Row] = {}
    for number, line in read_lines(text):
        pointer = f"/rows/{number}"
        row = _row(read_cells(line, pointer), columns, number)
        if rows.setdefault(row.cells[:-2], row) is not row:
            raise Malformed(pointer, "says what an earlier row says", help="each rule stands once")
    if len(rows) > MAX_ROWS:
        raise TooLarge("the table at /rows", limit=MAX_ROWS, unit="rows")
    return tuple(rows.values())


def _row(cells: list[str], columns: tuple[str, ...], number: int) -> Row:
    pointer = f"/rows/{number}"
    if len(cells) != len(columns) + 1 or cells[0] != "p":
        raise Malformed(pointer, f"does not have {len(columns) + 1} columns", help=f"p, {', '.join(columns)}")
    *_, effect, en, uk = cells
    if effect not in {"allow", "deny"}:
        raise Malformed(pointer, f"{show(effect)} is no effect", help="one of allow, deny")
    if not en or not uk:
        raise Malformed(pointer, "has no sentence for people", help="every row says, in both languages, what it means")
    return Row(line=number, cells=tuple(cells[1:]), en=en, uk=uk)


def _read(text: str, type_: type[Any], pointer: str) -> Any:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(pointer, str(error)) from None


def _check_brought(brought: Brought) -> None:
    """Check names: what stands in an entry has to be readable there, and what a matcher sees has to be one thing."""
    taken = [name for name in brought.resources if name in RESOURCE_TYPES]
    if taken:
        raise Malformed("/mount/resources", f"{show(taken[0])} is decided by the main policy alone")
    if not (brought.subjects and brought.actions and brought.resources):
        raise Malformed("/mount", "names no subject, no action or no resource", help="it would decide nothing")
    kinds = {"subjects": brought.subjects, "actions": brought.actions, "resources": brought.resources}
    for what, named in kinds.items():
        for name, properties in named.items():
            _check_name(name, f"/mount/{what}")
            _check_properties(properties, f"/mount/{what}/{name}")
    _check_properties(brought.context, "/mount/context")


def _check_name(name: str, pointer: str) -> None:
    if not _NAME.fullmatch(name):
        raise Malformed(pointer, f"{show(name)} is not a name", help="a letter, then letters, digits and _, at most 64")


def _check_properties(names: tuple[str, ...], pointer: str) -> None:
    if len(names) > MAX_PROPERTIES:
        raise TooLarge(f"the list at {pointer}", limit=MAX_PROPERTIES, unit="properties")
    for name in names:
        _check_name(name, pointer)
        if name in RESERVED:
            raise Malformed(pointer, f"{show(name)} is given by the service", help=f"not one of {', '.join(RESERVED)}")


def _check_facts(brought: Brought, facts: StoredFacts) -> None:
    if len(facts.subjects) + len(facts.resources) > MAX_FACTS:
        raise TooLarge("the list at /facts", limit=MAX_FACTS, unit="subjects and resources")
    for what, entities, types in (
        ("subjects", facts.subjects, brought.subjects),
        ("resources", facts.resources, brought.resources),
    ):
        seen: set[tuple[str, str]] = set()
        for number, known in enumerate(entities):
            pointer = f"/facts/{what}/{number}"
            if known.type not in types:
                raise Malformed(pointer, f"{show(known.type)} is no type of `mount.json`")
            check_id(known.id, f"{pointer}/id")
            if (known.type, known.id) in seen:
                raise Malformed(f"{pointer}/id", "is that of an earlier one")
            seen.add((known.type, known.id))
            _check_properties(tuple(known.properties), pointer)
            for name, value in known.properties.items():
                check_value(value, f"{pointer}/properties/{name}")


def check_value(value: Value, pointer: str) -> None:
    """Check how much a property holds. Raises Malformed."""
    listed = value if isinstance(value, tuple) else (value,)
    if len(listed) > MAX_LISTED:
        raise Malformed(pointer, "lists too much", help=f"at most {MAX_LISTED} values")
    for one in listed:
        if isinstance(one, str) and (len(one) > MAX_TEXT_CHARACTERS or not _has_bytes(one)):
            raise Malformed(pointer, "is too long, or no text", help=f"at most {MAX_TEXT_CHARACTERS:,} characters")
        if isinstance(one, int) and abs(one) > MAX_INTEGER:
            raise Malformed(pointer, "is too large", help="integers within ±2^53 - 1")


def _has_bytes(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _check_rows(rows: tuple[Row, ...], model: casbin.Model) -> None:
    """Refuse a row whose text is no expression, or one that Casbin would read differently than people do."""
    enforcer = _enforcer(model)
    nobody = Entity({})
    for row in rows:
        pointer = f"/rows/{row.line}"
        if any(_CHANGED.search(literal) for cell in row.cells[:-3] for literal in _LITERAL.findall(cell)):
            raise Malformed(
                pointer, "quotes what Casbin would change", help="in quotes, no `r.`, `p.`, `!`, `&&`, `||`"
            )
        enforcer.clear_policy()
        enforcer.model.add_policy("p", "p", list(row.cells))
        try:
            enforcer.enforce(nobody, nobody, nobody, nobody)
        except SyntaxError as error:
            raise Malformed(pointer, f"is no expression: {error.msg}") from None
        except Exception:  # noqa: BLE001, S112 - it can be read: what it finds missing now, requests may have
            continue
