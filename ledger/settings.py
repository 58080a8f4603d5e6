"""Settings: one frozen class for the ledger, one for a witness, from the environment; `ledger.bootstrap` reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ledger.errors import Misconfigured, show
from ledger.keys import Token
from ledger.keys.pkcs11 import DEFAULT_LABEL

VERSION = "0.1.0"
DEFAULT_DATA = Path("oblik-data")
DEFAULT_PUBLISH_SECONDS = 1.0
DEFAULT_TIMESTAMP_SECONDS = 3600.0
DEFAULT_SEAL_SECONDS = 3600.0
MAX_INTERVAL_SECONDS = 86_400.0
LOG_FORMS = ("text", "json")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DEFAULT_ADDRESS = "http://127.0.0.1:8080"
DEFAULT_REQUESTS_PER_SECOND = 5_000
"""Of one caller to one process: about half of what a process answers, so that none can take it for itself alone."""

MAX_REQUESTS_PER_SECOND = 1_000_000
WITNESS_DATABASE = "witness.db"

TOKEN_VARIABLES = ("OBLIK_PKCS11_MODULE", "OBLIK_PKCS11_TOKEN", "OBLIK_PKCS11_PIN_FILE")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the ledger and its keys are."""

    data: Path
    """OBLIK_DATA: the folder of the keys, and of the database where it is SQLite."""
    database_url: str
    """OBLIK_DATABASE_URL: `sqlite:///…` or `postgresql://…`."""
    key_passphrase_file: Path | None = None
    """OBLIK_KEY_PASSPHRASE_FILE: what the key files are encrypted with; without it they are not."""
    token: Token | None = None
    """OBLIK_PKCS11_…: where the Ed25519 key is, if it is no file."""

    publish_seconds: float = DEFAULT_PUBLISH_SECONDS
    """OBLIK_PUBLISH_SECONDS: how often a checkpoint is published, where something was written."""
    tiles: str = ""
    """OBLIK_TILES: a folder, or an object store (`s3://bucket/prefix`), that tiles are written to; "" for none."""

    witnesses: Path | None = None
    """OBLIK_WITNESSES: a policy file (C2SP tlog-policy) that names the witnesses and the quorum; None for none."""
    timestamp_urls: tuple[str, ...] = ()
    """OBLIK_TIMESTAMP_URLS: time-stamp authorities (RFC 3161), with spaces between."""
    timestamp_seconds: float = DEFAULT_TIMESTAMP_SECONDS
    """OBLIK_TIMESTAMP_SECONDS: how often a checkpoint is stamped."""

    seal_seconds: float = DEFAULT_SEAL_SECONDS
    """OBLIK_SEAL_SECONDS: how often all streams are sealed, where something was written."""

    log_form: str = "text"
    """OBLIK_LOG: `text` or `json`."""
    drain_seconds: float = 0.0
    """OBLIK_DRAIN_SECONDS: how long it says that it is not ready before it ends, for a balancer to notice."""
    traces: bool = False
    """OBLIK_TRACES: `1` for OpenTelemetry traces, which the variables of OpenTelemetry say where to send."""
    url: str = ""
    """OBLIK_URL: under which callers reach the service, `https://…`; without it no access token is issued or taken."""
    address: str = DEFAULT_ADDRESS
    """OBLIK_ADDRESS: where it listens, as `oblik serve` sets it: what it calls itself by while `url` is not set."""
    client_cert_header: str = ""
    """OBLIK_CLIENT_CERT_HEADER: in which the TLS proxy passes on a client's certificate; "": no header is believed."""
    requests_per_second: int = DEFAULT_REQUESTS_PER_SECOND
    """OBLIK_REQUESTS_PER_SECOND: how many requests a caller may make; over it, 429."""

    @property
    def anchor(self) -> Path:
        """The file that remembers the last checkpoint signed, apart from the database."""
        return self.data / "last-checkpoint"

    @property
    def keys(self) -> Path:
        """The folder of the log's keys."""
        return self.data / "keys"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the settings; whatever is not set has a default that needs no server. Raises Misconfigured."""
    data = Path(environment.get("OBLIK_DATA") or DEFAULT_DATA)
    url = environment.get("OBLIK_DATABASE_URL") or f"sqlite:///{data / 'ledger.db'}"
    passphrase = environment.get("OBLIK_KEY_PASSPHRASE_FILE")
    return Settings(
        data=data,
        database_url=url,
        key_passphrase_file=Path(passphrase) if passphrase else None,
        token=_token(environment),
        publish_seconds=_seconds(environment, "OBLIK_PUBLISH_SECONDS", DEFAULT_PUBLISH_SECONDS),
        tiles=environment.get("OBLIK_TILES", ""),
        witnesses=Path(environment["OBLIK_WITNESSES"]) if environment.get("OBLIK_WITNESSES") else None,
        timestamp_urls=tuple(environment.get("OBLIK_TIMESTAMP_URLS", "").split()),
        seal_seconds=_seconds(environment, "OBLIK_SEAL_SECONDS", DEFAULT_SEAL_SECONDS),
        timestamp_seconds=_seconds(environment, "OBLIK_TIMESTAMP_SECONDS", DEFAULT_TIMESTAMP_SECONDS),
        log_form=_one_of(environment, "OBLIK_LOG", LOG_FORMS),
        drain_seconds=_seconds(environment, "OBLIK_DRAIN_SECONDS", 0.0, least=0.0),
        traces=_one_of(environment, "OBLIK_TRACES", ("0", "1")) == "1",
        url=_url(environment),
        address=environment.get("OBLIK_ADDRESS") or DEFAULT_ADDRESS,
        client_cert_header=environment.get("OBLIK_CLIENT_CERT_HEADER", "").lower(),
        requests_per_second=_requests_per_second(environment),
    )


def _url(environment: Mapping[str, str]) -> str:
    """Read the address, "" where it is not set; in the clear it may be of this machine alone."""
    url = environment.get("OBLIK_URL", "").removesuffix("/")
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and parts.hostname in LOOPBACK
        is_origin = bool(parts.hostname) and url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
        is_origin = is_origin and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none, or a bracket that is not closed
        plain = is_origin = False
    if url and not (is_origin and (plain or parts.scheme == "https")):
        raise Misconfigured(f"OBLIK_URL={show(url)} is not an address", help="https://<host>, without a path")
    return url


def _one_of(environment: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    text = environment.get(name) or known[0]
    if text not in known:
        raise Misconfigured(f"{name}={show(text)} is not known", help=f"one of {', '.join(known)}")
    return text


def _requests_per_second(environment: Mapping[str, str]) -> int:
    text = environment.get("OBLIK_REQUESTS_PER_SECOND") or str(DEFAULT_REQUESTS_PER_SECOND)
    if not re.fullmatch("[1-9][0-9]{0,6}", text) or int(text) > MAX_REQUESTS_PER_SECOND:
        raise Misconfigured(f"OBLIK_REQUESTS_PER_SECOND={show(text)} is not a rate", help="a number from 1 to 1000000")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float, *, least: float = 1e-9) -> float:
    text = environment.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= MAX_INTERVAL_SECONDS:  # not a number is not in there either
        raise Misconfigured(f"{name}={show(text)} is not a number of seconds", help="above 0, at most 86400")
    return seconds


@dataclass(frozen=True, kw_only=True)
class WitnessSettings:
    """Where a witness's keys and memory are, and which logs it trusts."""

    data: Path
    """OBLIK_WITNESS_DATA: the folder of keys and memory."""
    logs: Path
    """OBLIK_WITNESS_LOGS: the file of the logs' verifier keys."""
    passphrase_file: Path | None = None
    """OBLIK_WITNESS_PASSPHRASE_FILE: what the key files are encrypted with; without it they are not."""

    @property
    def database(self) -> Path:
        """The file of what was cosigned."""
        return self.data / WITNESS_DATABASE


def witness_settings_from(environment: Mapping[str, str]) -> WitnessSettings:
    """Read a witness's settings, which `oblik witness serve` sets. Raises Misconfigured where one is missing."""
    passphrase = environment.get("OBLIK_WITNESS_PASSPHRASE_FILE")
    try:
        return WitnessSettings(
            data=Path(environment["OBLIK_WITNESS_DATA"]),
            logs=Path(environment["OBLIK_WITNESS_LOGS"]),
            passphrase_file=Path(passphrase) if passphrase else None,
        )
    except KeyError as error:
        raise Misconfigured(f"{error.args[0]} is not set", help="run `oblik witness serve`") from None


def _token(environment: Mapping[str, str]) -> Token | None:
    module, name, pin_file = (environment.get(variable) or "" for variable in TOKEN_VARIABLES)
    if not any((module, name, pin_file)):
        return None
    if not all((module, name, pin_file)):
        raise Misconfigured("a token is set in part", help=f"set {', '.join(TOKEN_VARIABLES)}, or none of them")
    label = environment.get("OBLIK_PKCS11_LABEL") or DEFAULT_LABEL
    return Token(module=Path(module), name=name, pin_file=Path(pin_file), label=label)
