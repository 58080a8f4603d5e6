"""A log's files in a folder, as `oblik export --tiles` writes them and as whoever copied them has them."""

from pathlib import Path

from ledger.errors import NotFound, Unavailable, Unverified, show
from ledger.log.place import Place


class FolderPlace(Place):
    """A folder. Nothing in it is written, and nothing but plain files is opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def read(self, path: str, limit: int) -> bytes:
        """Give a file of at most `limit` bytes."""
        target = self._folder / path
        try:
            if not target.is_file():  # a pipe would never end
                raise NotFound("file", str(target))
            with target.open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Unavailable(f"{show(str(target))} cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise Unverified(f"{show(str(target))} is over the limit of {limit:,} bytes")
        return data
