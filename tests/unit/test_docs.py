"""Documents that name things: what they name exists, and what exists is named."""

import re
from pathlib import Path

import pytest
import snippets
from snippets import ROOT, read

from ledger.events import CATALOGUE

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"))
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
KIND_ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+) \| (.+) \| (yes|no) \|$", re.MULTILINE)
MODULE = re.compile(r"`((?:ledger|tests|policy_models|agreements|docs)/[\w./]+)`")
LIMIT_ROW = re.compile(r"^\| (`[A-Z_`, ]+`) \| ([\d,]+)?.* \| `(ledger/[\w/]+\.py)` \|$", re.MULTILINE)
UNITS = {"MiB": 1024 * 1024}


def anchor(heading: str) -> str:
    """Give a heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(file: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(file.read_text(encoding="utf-8"))}


def broken(document: str) -> list[str]:
    """Give the relative links of a document that lead nowhere."""
    found = []
    for target in LINK.findall(CODE.sub("", read(document))):
        path, _, fragment = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (ROOT / document).parent / path if path else ROOT / document
        if not file.exists() or (fragment and fragment not in anchors(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_resolve(document):
    """Each relative link leads to a file that is there, and to a heading in it where it names one."""
    assert broken(document) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document):
    """Each file of the checkout that a document names in its text is there."""
    assert [name for name in MODULE.findall(CODE.sub("", read(document))) if not (ROOT / name).exists()] == []


def named_in_map(text: str) -> list[str]:
    """Give the paths of a map of folders, in which two spaces more are one level deeper."""
    paths: list[str] = []
    above: list[str] = []
    for line in text.splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        above = [*above[:depth], name.rstrip("/")]
        paths.append("/".join(above) + "/" * name.endswith("/"))
    return paths


def folder_map() -> list[str]:
    """Give the paths of the README's map."""
    _, _, section = read("README.md").partition("## The folders\n")
    return named_in_map(snippets.blocks(section, "text")[0])


def test_the_folder_map_names_what_exists():
    """Each folder and file of the README's map is there, a folder where it says folder."""
    assert [name for name in folder_map() if not (ROOT / name).exists()] == []
    assert [name for name in folder_map() if name.endswith("/") != (ROOT / name).is_dir()] == []


def test_the_folder_map_leaves_out_no_part_of_the_package():
    """Each module and package directly in `ledger/` stands in the README's map."""
    parts = {
        f"ledger/{path.name}/" if path.is_dir() else f"ledger/{path.name}"
        for path in (ROOT / "ledger").iterdir()
        if not path.name.startswith(("_", ".")) and path.suffix in {"", ".py"}
    }
    assert parts == {name for name in folder_map() if name.startswith("ledger/")} - {"ledger/"}


def kind_rows() -> dict[str, tuple[str, str, str]]:
    rows = {
        kind: (said, fields, state) for kind, said, fields, state in KIND_ROW.findall(read("docs/ledger-format.md"))
    }
    assert rows
    return rows


def test_every_kind_of_entry_is_described():
    """The format's table has each kind of the catalogue, and no other."""
    assert {kind for kind, _ in CATALOGUE} == set(kind_rows())


NEWEST = {kind: CATALOGUE[kind, version] for kind, version in sorted(CATALOGUE)}


@pytest.mark.parametrize("event", NEWEST.values(), ids=lambda event: event.KIND)
def test_a_kind_is_described_as_it_is(event):
    """A kind's row names its fields in order, what may be sealed, and whether decisions depend on it."""
    said, fields, state = kind_rows()[event.KIND]
    assert event.__struct_fields__ == tuple(re.findall(r"`(\w+)`", fields))
    assert frozenset(re.findall(r"`(\w+)`", said.partition("Sealed:")[2])) == event.SEALABLE
    assert (state == "yes") == event.CHANGES_STATE
    assert (2 if event.KIND == "run.started" else 1) == event.VERSION, "the text above the table says so"


def limit_rows() -> list[tuple[str, int, Path]]:
    """Give (name, value in the unit of the code, module) of each limit in the operations' table."""
    found = []
    for names, number, module in LIMIT_ROW.findall(read("docs/operations.md")):
        row = next(line for line in read("docs/operations.md").splitlines() if line.startswith(f"| {names} |"))
        unit = next((factor for word, factor in UNITS.items() if f" {word} " in row), 1)
        found += [(name, int(number.replace(",", "")) * unit, ROOT / module) for name in re.findall(r"\w+", names)]
    return found


def test_limits_are_what_the_code_says():
    """Each limit of the operations' table stands in the module named, with that value."""
    wrong = []
    for name, value, module in limit_rows():
        line = re.search(rf"^{name} = (.+?)(?:\s+#.*)?$", module.read_text("utf-8"), re.MULTILINE)
        if line is None or eval(line[1], {}) != value:
            wrong.append(name)
    assert len(limit_rows()) > 10
    assert wrong == []


def test_every_decision_is_in_the_index():
    """The index of decisions links to each of them, under its own title."""
    folder = ROOT / "docs" / "decisions"
    index = read("docs/decisions/README.md")
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert files == re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", index)
    assert [name for name in files if not read(f"docs/decisions/{name}").startswith(f"# {name[:4]}: ")] == []
