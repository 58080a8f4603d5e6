"""Structured columns: JSON text with sorted keys, so that equal values are equal rows on both engines."""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="sorted")


def dump(value: Any) -> str:
    """Give a struct, list or dict as the text of a column."""
    return _encoder.encode(value).decode()


def load(text: str, type_: type[T]) -> T:
    """Read a column back as `type_`."""
    return msgspec.json.decode(text, type=type_)
