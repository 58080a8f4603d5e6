"""A caller of the API, for the story: sends, checks the status that was told beforehand, and prints a sentence."""

from collections.abc import Mapping
from typing import Any

import httpx

from ledger.errors import OblikError


class UnexpectedAnswer(OblikError):  # noqa: N818 - a branch of our errors
    """The service did not answer as the story tells."""


def say(sentence: str, seq: int | None = None) -> None:
    """Print one step of the story, with its ledger index."""
    where = f"[{seq:>3}]" if seq is not None else "     "
    print(f"{where} {sentence}", flush=True)


class Client:
    """One caller, with its own token."""

    def __init__(self, http: httpx.Client, name: str, token: str) -> None:
        self._http = http
        self.name = name
        self.token = token
        self._headers = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, expect: int = 201) -> dict[str, Any]:
        """Send a body and give the answer's. Raises UnexpectedAnswer on any status but the one expected."""
        return self._send("POST", path, body, expect)

    def put(self, path: str, body: Mapping[str, Any], *, expect: int = 200) -> dict[str, Any]:
        """Likewise with PUT."""
        return self._send("PUT", path, body, expect)

    def get(self, path: str) -> httpx.Response:
        """Read."""
        return self._http.get(path, headers=self._headers)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, expect: int) -> dict[str, Any]:
        response = self._http.request(method, path, json=body, headers=self._headers)
        if response.status_code != expect:
            raise UnexpectedAnswer(
                f"{method} {path} was answered {response.status_code}, not {expect}: {response.text}"
            )
        answer: dict[str, Any] = response.json()
        return answer
