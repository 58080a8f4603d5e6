"""Opens the place that a person names: a URL, or a folder of tiles."""

from pathlib import Path

from ledger.errors import Misconfigured, show
from ledger.log.place import Place
from ledger.remote.log import DEFAULT_SECONDS, UrlPlace
from ledger.storage.places import FolderPlace


def open_place(text: str, *, token: str = "", timeout: float = DEFAULT_SECONDS) -> Place:
    """Open a log at an http or https URL, or in a folder. `timeout` is for one answer. Raises Misconfigured."""
    if "://" in text:
        return UrlPlace(text, token, timeout)
    if not Path(text).is_dir():
        raise Misconfigured(f"{show(text)} is neither a folder nor a URL", help="http:// or https://")
    return FolderPlace(Path(text))
