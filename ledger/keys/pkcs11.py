"""The log's Ed25519 key in a token (PKCS#11 3.0, CKM_EDDSA): it signs there, and never leaves it.

A token is found by its label. The log's keys in it are labelled `oblik-log`, `oblik-log-2` and so on; which of them are
in force the ledger says. The library is loaded when a token is asked for: `pip install oblik[hsm]`.

Sessions are left to end with the process: to log out of one is to log out of all of them (PKCS#11 3.0 §5.6.9).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from ledger.errors import Misconfigured, Unavailable, show
from ledger.keys.secret import read_secret
from ledger.log.note import ED25519, check_name, key_id

EDWARDS25519 = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS: the object identifier 1.3.101.112 (RFC 8410 §3), in DER."""

POINT_HEADER = b"\x04\x20"
"""What stands before the 32 bytes of a point in CKA_EC_POINT: OCTET STRING, 32 bytes. Some leave it out."""

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
DEFAULT_LABEL = "oblik-log"


class Token(Struct, frozen=True, kw_only=True):
    """Where the key is."""

    module: Path
    """The vendor's PKCS#11 library."""
    name: str
    """The token's label."""
    pin_file: Path
    label: str = DEFAULT_LABEL
    """Label of the first key; later ones have a number behind it."""


class TokenSigner:
    """Type 0x01: Ed25519 over the text, made in the token. A session serves one thread at a time."""

    algorithm = ED25519

    def __init__(self, name: str, public: bytes, key: Any, lock: threading.Lock) -> None:
        self.name = check_name(name)
        self.public_bytes = public
        self.key_id = key_id(name, ED25519, public)
        self._key, self._lock = key, lock

    def sign(self, text: bytes) -> bytes:
        """Sign the text of a note. Raises Unavailable where the token does not."""
        library = _library()
        try:
            with self._lock:
                signature = bytes(self._key.sign(text, mechanism=library.Mechanism.EDDSA))
        except library.PKCS11Error as error:
            raise Unavailable(f"the token does not sign: {_said(error)}") from error
        if len(signature) != SIGNATURE_BYTES:
            raise Unavailable(f"the token gave a signature of {len(signature)} bytes")
        return signature

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text that is no checkpoint: the same, for this type."""
        return self.sign(text)


def refuse_second(token: Token) -> None:
    """Raise Misconfigured where the token has a key of this label already."""
    with _refused(token):
        if _labelled(_open(token), token):
            problem = f"the token {show(token.name)} has a key {show(token.label)} already"
            raise Misconfigured(problem, help="set another OBLIK_PKCS11_LABEL")


def create_key(token: Token, *, origin: str) -> TokenSigner:
    """Make a key in the token, which does not give it away. Raises Misconfigured."""
    library = _library()
    with _refused(token):
        session = _open(token, writing=True)
        label = _next_label(_labelled(session, token), token.label)
        parameters = {library.Attribute.EC_PARAMS: EDWARDS25519}
        curve = session.create_domain_parameters(library.KeyType.EC_EDWARDS, parameters, local=True)
        public, private = curve.generate_keypair(
            mechanism=library.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            capabilities=library.MechanismFlag.SIGN | library.MechanismFlag.VERIFY,
            store=True,
            label=label,
            id=label.encode(),
            private_template={library.Attribute.SENSITIVE: True, library.Attribute.EXTRACTABLE: False},
        )
        return TokenSigner(origin, _point(public), private, threading.Lock())


def load_keys(token: Token, *, origin: str) -> list[TokenSigner]:
    """Find the log's keys in a token, whatever their number. Raises Misconfigured."""
    library, lock = _library(), threading.Lock()
    with _refused(token):
        session = _open(token)
        private = {"object_class": library.ObjectClass.PRIVATE_KEY, "key_type": library.KeyType.EC_EDWARDS}
        return [
            TokenSigner(origin, public, session.get_key(label=label, **private), lock)
            for label, public in _labelled(session, token).items()
        ]


def _library() -> Any:
    try:
        import pkcs11  # noqa: PLC0415 - an extra of this package
    except ImportError:
        problem = "a token is set, and the library for it is missing"
        raise Misconfigured(problem, help="`pip install oblik[hsm]`") from None
    return pkcs11


def _open(token: Token, *, writing: bool = False) -> Any:
    """Open a session. Where the process is logged in already, the session is too."""
    library = _library()
    found = library.lib(str(token.module)).get_token(token_label=token.name)
    try:
        return found.open(rw=writing, user_pin=_pin(token.pin_file))
    except library.UserAlreadyLoggedIn:
        return found.open(rw=writing)


def _pin(path: Path) -> str:
    try:
        return read_secret(path, "the PIN file").decode()
    except UnicodeDecodeError:
        raise Misconfigured(f"the PIN file `{path}` is not UTF-8") from None


def _labelled(session: Any, token: Token) -> dict[str, bytes]:
    """Give the public keys whose label is the log's, with or without a number, by label."""
    library = _library()
    attribute = library.Attribute
    kind = {attribute.CLASS: library.ObjectClass.PUBLIC_KEY, attribute.KEY_TYPE: library.KeyType.EC_EDWARDS}
    keys = {str(key[attribute.LABEL]): key for key in session.get_objects(kind)}
    return {label: _point(key) for label, key in keys.items() if _number(label, token.label)}


def _number(label: str, first: str) -> int:
    """Give which of the log's keys has this label, from 1; 0 for none of them."""
    number = label.removeprefix(f"{first}-")
    if label == first:
        return 1
    return int(number) if label != number and number.isdecimal() else 0


def _next_label(labels: dict[str, bytes], first: str) -> str:
    last = max((_number(label, first) for label in labels), default=0)
    return f"{first}-{last + 1}" if last else first


def _point(public: Any) -> bytes:
    """Give a public key, raw. Raises Misconfigured where it is none of this curve."""
    point = bytes(public[_library().Attribute.EC_POINT])
    raw = point.removeprefix(POINT_HEADER) if len(point) > PUBLIC_BYTES else point
    if len(raw) != PUBLIC_BYTES:
        raise Misconfigured("the token's key is not an Ed25519 key")
    return raw


@contextmanager
def _refused(token: Token) -> Iterator[None]:
    """Tell what a token refuses as the operator's to mend."""
    library = _library()
    try:
        yield
    except library.PKCS11Error as error:
        raise Misconfigured(f"the token {show(token.name)} cannot be used: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Give the name of an error, and what it says where it says something."""
    return f"{type(error).__name__} {error}".strip()
