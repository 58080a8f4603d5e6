"""A server that answers as it likes: what a test does with each connection, byte by byte."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket, bytes], None]
"""Is given the connection and the request, head and body."""


def answering(body: bytes, *, status: str = "200 OK", headers: str = "Content-Type: text/plain\r\n") -> Behaviour:
    """Answer every request with this."""

    def answer(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    return answer


@contextmanager
def liar(behave: Behaviour) -> Iterator[str]:
    """Serve connections, each in a thread, until this ends. Gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the caller hung up
            behave(connection, request(connection))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def request(connection: socket.socket) -> bytes:
    """Read one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    length = re.search(rb"content-length: (\d+)", data, re.IGNORECASE)
    wanted = data.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(data) < wanted:
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data
