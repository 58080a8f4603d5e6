"""Time-stamps (RFC 3161) of checkpoints: an authority's word that the log had come so far by then.

What is stamped is the text of a checkpoint, without blank line and signatures:

    example.com/log
    42
    <base64 root>

in UTF-8, with the newline at its end. The message imprint is the text's SHA-256, as this package asks for, or its
SHA-384 or SHA-512. The root commits to every entry before it; the log's signature is checked apart, by opening the
checkpoint, so cosignatures that join the note later change nothing.

A time-stamp is kept as the authority's whole answer (TimeStampResp in DER, `.tsr`). Others read it too:

    openssl ts -verify -data checkpoint.txt -in stamp.tsr -CAfile root.pem
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from msgspec import Struct
from rfc3161_client import PKIStatus, TimeStampResponse, VerifierBuilder, decode_timestamp_response

from ledger.errors import BadTimestamp, Malformed

MAX_TIMESTAMP_BYTES = 64 * 1024
"""An answer with a chain of certificates has 6 KiB or so; one with post-quantum signatures several times that."""

PEM_BEGINS = b"-----BEGIN"


class Stamped(Struct, frozen=True):
    """An authority saw the text at that time, or before."""

    time: datetime
    authority: str
    """Subject of the certificate that signed (RFC 4514)."""


def check_timestamp(stamp: bytes, text: bytes, roots: Sequence[bytes]) -> Stamped:
    """Check that an authority stamped the text of a checkpoint. Raises BadTimestamp.

    `roots` are the certificates, PEM or DER, that the verifier trusts; one in PEM may hold several. Raises Malformed
    where they are none. Certificates have to be valid at the stamped time, and need not be so now.
    """
    verifier = VerifierBuilder(roots=_load_roots(roots)).build()
    answer = parse_timestamp(stamp)
    try:
        verifier.verify_message(answer, text)
        return Stamped(answer.tst_info.gen_time, _authority(answer))
    except Exception as error:  # noqa: BLE001 - whatever it trips over, bytes from outside have not proved their claim
        raise BadTimestamp(f"the time-stamp does not verify: {error}") from None


def parse_timestamp(stamp: bytes) -> TimeStampResponse:
    """Read an authority's answer, in which nothing is verified yet. Raises BadTimestamp unless it is a granted one."""
    if len(stamp) > MAX_TIMESTAMP_BYTES:
        raise BadTimestamp(f"the time-stamp is over the limit of {MAX_TIMESTAMP_BYTES:,} bytes")
    try:
        answer = decode_timestamp_response(stamp)
        status = answer.status
        reason = "; ".join(answer.status_string) if status != PKIStatus.GRANTED else ""
    except Exception as error:  # noqa: BLE001 - likewise
        raise BadTimestamp(f"the time-stamp does not read: {error}") from None
    if status != PKIStatus.GRANTED:
        raise BadTimestamp(f"the authority did not grant a time-stamp: status {status}, {reason or 'no reason given'}")
    return answer


def _load_roots(roots: Sequence[bytes]) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for data in roots:
        try:
            if data.startswith(PEM_BEGINS):
                found += x509.load_pem_x509_certificates(data)
            else:
                found.append(x509.load_der_x509_certificate(data))
        except ValueError as error:
            raise Malformed("/roots", f"is no certificate: {error}") from None
    if not found:
        raise Malformed("/roots", "there is no certificate to trust")
    return found


def _authority(answer: TimeStampResponse) -> str:
    """Name the signer: of the certificates inside, the one that the signature names by issuer and serial number."""
    (signer,) = answer.signed_data.signer_infos
    certificates = map(x509.load_der_x509_certificate, answer.signed_data.certificates)
    named = [one for one in certificates if (one.issuer, one.serial_number) == (signer.issuer, signer.serial_number)]
    return named[0].subject.rfc4514_string()
