"""Settings: one frozen class, made from the environment, read by `ledger.bootstrap` alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA = Path("oblik-data")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the ledger and its keys are."""

    data: Path
    """OBLIK_DATA: the folder of the keys, and of the database where it is SQLite."""
    database_url: str
    """OBLIK_DATABASE_URL: `sqlite:///…` or `postgresql://…`."""

    @property
    def keys(self) -> Path:
        """The folder of the log's keys."""
        return self.data / "keys"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the settings; whatever is not set has a default that needs no server."""
    data = Path(environment.get("OBLIK_DATA") or DEFAULT_DATA)
    url = environment.get("OBLIK_DATABASE_URL") or f"sqlite:///{data / 'ledger.db'}"
    return Settings(data=data, database_url=url)
