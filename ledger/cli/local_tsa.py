"""A time-stamp authority (RFC 3161) on this machine, for the demonstration and the tests only.

It has a certificate authority of its own, made anew each time, so that nobody else has a reason to trust it. Each
answer is made by `openssl ts`, an implementation that is not ours. It listens on loopback, on a free port.
"""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from ledger.errors import Misconfigured

MAX_QUERY_BYTES = 4_096
OPENSSL_SECONDS = 30
VALID = timedelta(days=7)

_CONFIG = """\
[tsa]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.13762.3
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


class LocalTsa(Struct, frozen=True):
    """A running authority."""

    url: str
    root: bytes
    """Certificate (PEM) of the authority that its certificate is by."""


@contextmanager
def local_tsa(folder: Path, *, name: str = "A time-stamp authority of the demonstration") -> Iterator[LocalTsa]:
    """Run an authority whose files lie in `folder`, to the end of the block. Raises Misconfigured without `openssl`."""
    openssl = _find_openssl()
    root = make_authority(folder, name=name)

    class Handler(BaseHTTPRequestHandler):
        """Answers one query."""

        def do_POST(self) -> None:
            """Answer a time-stamp query (RFC 3161 §3.4)."""
            length = int(self.headers.get("Content-Length") or 0)
            answer = stamp(openssl, folder, self.rfile.read(min(length, MAX_QUERY_BYTES)))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)  # one query at a time: they count up one serial number
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield LocalTsa(f"http://127.0.0.1:{server.server_port}/", root)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _find_openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        raise Misconfigured("the program `openssl` is missing", help="on Debian: apt-get install openssl")
    return found


def stamp(openssl: str, folder: Path, query: bytes) -> bytes:
    """Answer a query: with a refusal where it is none."""
    (folder / "query").write_bytes(query)
    command = [openssl, "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=OPENSSL_SECONDS, check=False)
    return done.stdout


def make_authority(folder: Path, *, name: str, now: datetime | None = None) -> bytes:
    """Write what `openssl ts` needs into `folder`, valid for a week around `now`. Gives the root certificate (PEM)."""
    moment = now or datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = _name(f"{name}: root")
    root = (
        _certificate(root_name, root_name, root_key.public_key(), root_key.public_key(), moment)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    own = (
        _certificate(_name(name), root_name, key.public_key(), root_key.public_key(), moment)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    (folder / "tsa.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tsa.key").write_bytes(key.private_bytes(*private))
    return root.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    moment: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - VALID)
        .not_valid_after(moment + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
