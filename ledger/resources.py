"""Where the folders that people read (policies, agreements, migrations, pages, examples) lie.

In a checkout they stand beside the package; in an installed wheel they are inside it, under `_data`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Give the folder `name`, for example `policy_models`."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name
