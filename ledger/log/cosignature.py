r"""Cosignatures of checkpoints (C2SP tlog-cosignature): Ed25519 (0x04) and ML-DSA-44 (0x06), both with a time.

A signature is a big-endian 64-bit count of POSIX seconds, then the signature proper. Ed25519 signs

    cosignature/v1\ntime <decimal>\n<checkpoint text>

and ML-DSA-44, with an empty context,

    "subtree/v1\n\0" ‖ u8 len ‖ cosigner name ‖ u64 time ‖ u8 len ‖ log origin ‖ u64 start ‖ u64 end ‖ root

A log signs its own checkpoints with ML-DSA-44 too; its time may be 0. A witness's may not.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.errors import BadCheckpoint, BadNote, Malformed, show
from ledger.log.checkpoint import MAX_ORIGIN_BYTES, Checkpoint, parse_checkpoint
from ledger.log.note import ED25519, Ed25519Verifier, Verifier, check_name, key_id, split_vkey

ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
TIME_BYTES = 8
MAX_TIME = 2**63 - 1

Clock = Callable[[], int]
"""Gives the POSIX seconds to state in a cosignature."""


def no_time() -> int:
    """State no time: what a log does on its own checkpoints."""
    return 0


class Ed25519CosignatureSigner:
    """Type 0x04. `time` is the cosigner's clock."""

    algorithm = ED25519_COSIGNATURE

    def __init__(self, name: str, key: Ed25519PrivateKey, time: Clock) -> None:
        self.name = check_cosigner(name)
        self.public_bytes = key.public_key().public_bytes_raw()
        self.key_id = key_id(name, self.algorithm, self.public_bytes)
        self._key, self._time = key, time

    def sign(self, text: bytes) -> bytes:
        """Cosign the text of a checkpoint."""
        time = self._time()
        return _pack_time(time) + self._key.sign(_ed25519_message(self.name, text, time))


class Ed25519CosignatureVerifier:
    """Type 0x04."""

    def __init__(self, name: str, public: bytes) -> None:
        self.name = check_cosigner(name)
        self.key_id = key_id(name, ED25519_COSIGNATURE, public)
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public)
        except ValueError:
            raise BadNote(f"the key of {show(name)} is not an Ed25519 key") from None

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raise BadNote unless this key cosigned the checkpoint."""
        time, proper = _split_time(signature)
        try:
            self._key.verify(proper, _ed25519_message(self.name, text, time))
        except InvalidSignature:
            raise BadNote(f"the cosignature of {show(self.name)} does not verify") from None


class MLDSA44Signer:
    """Type 0x06. `time` is the cosigner's clock; a log on its own checkpoints states none."""

    algorithm = ML_DSA_44_COSIGNATURE

    def __init__(self, name: str, key: MLDSA44PrivateKey, time: Clock = no_time) -> None:
        self.name = check_cosigner(name)
        self.public_bytes = key.public_key().public_bytes_raw()
        self.key_id = key_id(name, self.algorithm, self.public_bytes)
        self._key, self._time = key, time

    def sign(self, text: bytes) -> bytes:
        """Cosign the text of a checkpoint."""
        time = self._time()
        return _pack_time(time) + self._key.sign(_subtree_message(self.name, text, time))

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text that is no checkpoint, as it is, with an empty context."""
        return self._key.sign(text)


class MLDSA44Verifier:
    """Type 0x06."""

    def __init__(self, name: str, public: bytes) -> None:
        self.name = check_cosigner(name)
        self.key_id = key_id(name, ML_DSA_44_COSIGNATURE, public)
        try:
            self._key = MLDSA44PublicKey.from_public_bytes(public)
        except ValueError:
            raise BadNote(f"the key of {show(name)} is not an ML-DSA-44 key") from None

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raise BadNote unless this key cosigned the checkpoint."""
        time, proper = _split_time(signature)
        try:
            self._key.verify(proper, _subtree_message(self.name, text, time))
        except InvalidSignature:
            raise BadNote(f"the cosignature of {show(self.name)} does not verify") from None

    def verify_text(self, text: bytes, signature: bytes) -> None:
        """Raise BadNote unless this key signed the text with `sign_text`."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            raise BadNote(f"the signature of {show(self.name)} does not verify") from None


def check_cosigner(name: str) -> str:
    """Give the name back. Raises BadNote where it is no key's name, or too long for a cosignature to state."""
    if len(check_name(name).encode()) > MAX_ORIGIN_BYTES:
        raise BadNote(f"the name {show(name)} is over the limit of {MAX_ORIGIN_BYTES} bytes")
    return name


def parse_vkey(vkey: str) -> Verifier:
    """Read a verifier key of any type that is known here. Raises BadNote."""
    name, algorithm, public = split_vkey(vkey)
    kinds: dict[int, Callable[[str, bytes], Verifier]] = {
        ED25519: Ed25519Verifier,
        ED25519_COSIGNATURE: Ed25519CosignatureVerifier,
        ML_DSA_44_COSIGNATURE: MLDSA44Verifier,
    }
    if algorithm not in kinds:
        raise BadNote(f"the type {algorithm:#04x} of verifier key {show(vkey)} is not known")
    return kinds[algorithm](name, public)


def cosigned_at(signature: bytes) -> int:
    """Give the POSIX seconds that a cosignature states, which its verifier has to have checked. Raises BadNote."""
    if len(signature) <= TIME_BYTES:
        raise BadNote(f"{len(signature)} bytes are no cosignature")
    return _split_time(signature)[0]


def _pack_time(time: int) -> bytes:
    if not 0 <= time <= MAX_TIME:
        raise Malformed("/time", f"{show(time)} is not a number of POSIX seconds")
    return time.to_bytes(TIME_BYTES)


def _split_time(signature: bytes) -> tuple[int, bytes]:
    return int.from_bytes(signature[:TIME_BYTES]), signature[TIME_BYTES:]


def _ed25519_message(cosigner: str, text: bytes, time: int) -> bytes:
    _check_cosigned(cosigner, text, time)
    return f"cosignature/v1\ntime {time}\n".encode() + text


def _subtree_message(cosigner: str, text: bytes, time: int) -> bytes:
    checkpoint = _check_cosigned(cosigner, text, time)
    start, end = 0, checkpoint.size  # a checkpoint is the subtree of all leaves
    return b"".join(
        (
            b"subtree/v1\n\0",
            _prefixed(cosigner),
            time.to_bytes(TIME_BYTES),
            _prefixed(checkpoint.origin),
            start.to_bytes(8),
            end.to_bytes(8),
            checkpoint.root,
        )
    )


def _check_cosigned(cosigner: str, text: bytes, time: int) -> Checkpoint:
    """Read what is cosigned. Raises BadNote unless it is a checkpoint, and the time is stated where it has to be."""
    try:
        checkpoint = parse_checkpoint(text)
    except BadCheckpoint as error:
        raise BadNote(f"what was cosigned is no checkpoint: {error}") from None
    if time == 0 and cosigner != checkpoint.origin:
        raise BadNote(f"the witness {show(cosigner)} does not state its time", help="only a log itself may leave it 0")
    return checkpoint


def _prefixed(name: str) -> bytes:
    data = name.encode()  # at most 255 bytes: check_cosigner and parse_checkpoint saw to it
    return bytes([len(data)]) + data
