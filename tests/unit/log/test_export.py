"""The export file: read strictly, in order, in bounded memory."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from ledger.errors import BadEntry, Unverified
from ledger.log import export as module
from ledger.log.entry import MAX_ENTRY_BYTES
from ledger.log.export import STAMPED_FORMAT, Export, Header, format_export
from ledger.log.note import MAX_NOTE_BYTES
from ledger.log.timestamp import MAX_TIMESTAMP_BYTES

FILES = [b"", b"card\n", bytes(range(256))]
ATTACHMENTS = [(hashlib.sha256(data).hexdigest(), "text/plain", data) for data in FILES]
NOTE = "example.org/log\n12\nAAAA\n\n— example.org/log AAAA\n".encode()


@pytest.fixture
def lines(chain: Sequence[bytes]) -> list[bytes]:
    header = Header(attachments=3, entries=12, origin="example.org/log", vkeys=("a+b+c",))
    return list(format_export(header, chain, ATTACHMENTS, NOTE))


def read(lines: Sequence[bytes]) -> tuple[Header, list[bytes], list[tuple[str, str, bytes]], bytes]:
    export = Export(iter(lines))
    return export.header, list(export.entries()), list(export.attachments()), export.checkpoint()


def test_what_is_exported_is_read(lines: list[bytes], chain: Sequence[bytes]) -> None:
    """Header, entries as stored, attachments and checkpoint come back."""
    header, entries, attachments, checkpoint = read(lines)
    assert (header.entries, header.attachments, header.vkeys) == (12, 3, ("a+b+c",))
    assert list(chain) == entries
    assert attachments == ATTACHMENTS
    assert checkpoint == NOTE


def test_the_file_is_lines_that_people_can_read(lines: list[bytes], chain: Sequence[bytes]) -> None:
    """One line each, in the form that the module shows; an entry's line is its bytes."""
    assert len(lines) == 1 + 12 + 3 + 1
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert lines[0] == (
        b'{"attachments":3,"entries":12,"format":"oblik-export/1","origin":"example.org/log","vkeys":["a+b+c"]}\n'
    )
    assert lines[1] == chain[0] + b"\n"
    assert lines[-1].startswith(b'{"checkpoint":"example.org/log')


STAMPS = ((b"o\n1\nAA==\n", b"token"), ("o\n2\nAA==\n\n— o AAAA\n".encode(), b""))


@pytest.fixture
def stamped(chain: Sequence[bytes]) -> list[bytes]:
    header = Header(attachments=3, entries=12, origin="o", vkeys=(), format=STAMPED_FORMAT, timestamps=2)
    return list(format_export(header, chain, ATTACHMENTS, NOTE, STAMPS))


def test_time_stamps_stand_behind_the_header(stamped: list[bytes], chain: Sequence[bytes]) -> None:
    """In a file of the second format; everything else is as in the first."""
    assert stamped[0] == (
        b'{"attachments":3,"entries":12,"format":"oblik-export/2","origin":"o","timestamps":2,"vkeys":[]}\n'
    )
    assert stamped[1] == b'{"stamped":"o\\n1\\nAA==\\n","token":"dG9rZW4="}\n'
    assert Export(stamped).timestamps == STAMPS
    assert list(chain) == read(stamped)[1]
    for i in range(len(stamped)):
        with pytest.raises(Unverified):
            read(stamped[:i] + stamped[i + 1 :])


@pytest.mark.parametrize(
    ("of", "to"),
    [
        (b'"timestamps":2', b'"timestamps":1'),
        (b'"timestamps":2', b'"timestamps":3'),
        (b'"timestamps":2', b'"timestamps":0'),
        (b'"timestamps":2', b'"timestamps":17'),
        (b'"timestamps":2', b'"timestamps":"2"'),
        (b'"timestamps":2', b'"timestamps":null'),
        (b'"timestamps":2,', b""),
        (b"export/2", b"export/1"),
        (b'"token":"dG9', b'"token":"!G9'),
        (b'"token":"dG9rZW4="', b'"token":"dG9rZW5="'),
        (b'"token":"dG9rZW4="', b'"more":1,"token":"dG9rZW4="'),
        (b',"token":"dG9rZW4="', b""),
        (b'"stamped":"o', b'"stamped": "o'),
    ],
)
def test_time_stamps_of_another_form_are_refused(stamped: list[bytes], of: bytes, to: bytes) -> None:
    """As many as the header says, each of its one form; the first format has none."""
    changed = [line.replace(of, to) for line in stamped]
    assert changed != stamped
    with pytest.raises(Unverified, match=r"^line "):
        read(changed)


def test_time_stamps_are_bounded() -> None:
    """A note or a token over its limit is refused, at its line."""
    header = Header(attachments=0, entries=0, origin="o", vkeys=(), format=STAMPED_FORMAT, timestamps=1)
    for stamp in ((b"x" * MAX_NOTE_BYTES, b""), (b"", b"x" * MAX_TIMESTAMP_BYTES)):
        read(list(format_export(header, [], [], NOTE, [stamp])))
    for stamp in ((b"x" * (MAX_NOTE_BYTES + 1), b""), (b"", b"x" * (MAX_TIMESTAMP_BYTES + 1))):
        with pytest.raises(Unverified, match="line 2: the time-stamp is over"):
            read(list(format_export(header, [], [], NOTE, [stamp])))


def test_an_empty_ledger_exports() -> None:
    """No entries, no attachments."""
    header = Header(attachments=0, entries=0, origin="o", vkeys=())
    assert read(list(format_export(header, [], [], NOTE))) == (header, [], [], NOTE)


def test_every_removed_line_is_found(lines: list[bytes]) -> None:
    """A file that lacks a line does not read to its end."""
    for i in range(len(lines)):
        with pytest.raises(Unverified):
            read(lines[:i] + lines[i + 1 :])


def test_every_cut_is_found(lines: list[bytes]) -> None:
    """A file that ends early does not read; where an entry is missing, it is named."""
    for count in range(len(lines)):
        with pytest.raises(Unverified) as caught:
            read(lines[:count])
        if 1 <= count <= 12:
            assert isinstance(caught.value, BadEntry)
            assert caught.value.seq == count - 1


def test_a_missing_last_newline_is_found(lines: list[bytes]) -> None:
    """Each line ends in a newline, the last one too; an entry that breaks off is named."""
    for i in range(len(lines)):
        with pytest.raises(Unverified, match=rf"line {i + 1} breaks off") as caught:
            read([*lines[:i], lines[i][:-1]])
        assert isinstance(caught.value, BadEntry) == (1 <= i <= 12)


def test_every_repeated_line_is_found(lines: list[bytes]) -> None:
    """Another line anywhere shifts the sections."""
    for i in range(13, len(lines)):
        with pytest.raises(Unverified):
            read([*lines[: i + 1], *lines[i:]])
    with pytest.raises(Unverified, match="line 14 is not an attachment"):
        read([*lines[:2], *lines[1:]])


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"not json",
        b'{"attachments":3,"entries":12,"origin":"o","vkeys":[]}',
        b'{"attachments":3,"entries":12,"format":"oblik-export/2","origin":"o","vkeys":[]}',
        b'{"attachments":-1,"entries":12,"format":"oblik-export/1","origin":"o","vkeys":[]}',
        b'{"attachments":3,"entries":-1,"format":"oblik-export/1","origin":"o","vkeys":[]}',
        b'{"attachments":3,"entries":"12","format":"oblik-export/1","origin":"o","vkeys":[]}',
        b'{"attachments":3,"entries":12,"format":"oblik-export/1","more":1,"origin":"o","vkeys":[]}',
        b'{"entries":12,"attachments":3,"format":"oblik-export/1","origin":"o","vkeys":[]}',
        b'{"attachments": 3,"entries":12,"format":"oblik-export/1","origin":"o","vkeys":[]}',
    ],
)
def test_other_headers_are_refused(lines: list[bytes], header: bytes) -> None:
    """The header has all its fields, in canonical form, and nothing else."""
    with pytest.raises(Unverified, match="line 1"):
        read([header + b"\n", *lines[1:]])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line.replace(b'"base64":"Y', b'"base64":"Z'),
        lambda line: line.replace(b'Ao="', b'Ap="'),
        lambda line: line.replace(b'Ao="', b'Ao"'),
        lambda line: line.replace(b'"sha256":"', b'"sha256":"0'),
        lambda line: line.replace(b'"media_type":"text/plain",', b""),
        lambda line: line.replace(b'"media_type":"text/plain"', b'"media_type":1'),
        lambda line: line.replace(b"{", b"{ "),
        lambda line: b"\xff" + line,
    ],
)
def test_a_spoilt_attachment_is_found_at_its_line(lines: list[bytes], spoil: Callable[[bytes], bytes]) -> None:
    """Bytes that do not have the digest, or are not in the one form, are refused by line."""
    place = 14
    spoilt = spoil(lines[place])
    assert spoilt != lines[place]
    with pytest.raises(Unverified, match="line 15"):
        read([*lines[:place], spoilt, *lines[place + 1 :]])


def test_nothing_follows_the_checkpoint(lines: list[bytes]) -> None:
    """The checkpoint is the last line."""
    with pytest.raises(Unverified, match="line 18"):
        read([*lines, b"\n"])


def test_an_oversized_line_is_refused(lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry over its limit is named by index, any other line by number."""
    long = b"x" * (MAX_ENTRY_BYTES + 1) + b"\n"
    with pytest.raises(BadEntry, match="65,535") as caught:
        read([*lines[:3], long, *lines[4:]])
    assert caught.value.seq == 2
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 400)
    with pytest.raises(Unverified, match="line 16 is over the limit"):
        read(lines)


def test_sections_are_read_in_order(lines: list[bytes]) -> None:
    """Asking for a section before the one in front of it is the caller's mistake."""
    for ask in (lambda e: next(e.attachments()), lambda e: e.checkpoint()):
        with pytest.raises(ValueError, match="in order"):
            ask(Export(lines))


def test_lines_are_asked_for_one_at_a_time(lines: list[bytes]) -> None:
    """The reader holds one line; it has taken no more than it gave."""
    taken = []

    def source() -> Iterator[bytes]:
        for line in lines:
            taken.append(line)
            yield line

    export = Export(source())
    for count, _ in enumerate(export.entries(), start=2):
        assert count == len(taken)
