"""Servers of this machine that answer as a test says: a table of files, garbage, too much, or nothing at all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]
Told = Callable[[str, dict[str, str]], Answer | None]
"""(path, headers) → status, headers and body; None never answers."""


@contextmanager
def answering(told: Told) -> Iterator[str]:
    """Run a server. Gives its address."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = told(self.path, dict(self.headers))
            if answer is None:
                ended.wait(60)
                return
            status, headers, body = answer
            with suppress(OSError):  # the caller has had enough
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def files(table: dict[str, bytes]) -> Told:
    """Answer with these files, by path, and 404."""
    return lambda path, _: (200, {}, table[path]) if path in table else (404, {}, b"")
