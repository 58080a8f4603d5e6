"""What verification finds that is not as it should be."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """An entry, and what is wrong with it."""

    seq: int
    problem: str
