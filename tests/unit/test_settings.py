"""Settings of the decision point, from the environment."""

import pytest

from ledger.errors import Misconfigured
from ledger.settings import settings_from


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (None, ""),
        ("https://oblik.mod.example", "https://oblik.mod.example"),
        ("https://oblik.mod.example:8443/", "https://oblik.mod.example:8443"),
        ("http://localhost:80", "http://localhost:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_of_https_or_of_this_machine(text, url):
    """A slash at its end is left out."""
    assert settings_from({} if text is None else {"OBLIK_URL": text}).url == url


@pytest.mark.parametrize(
    "text",
    [
        "oblik.mod.example",
        "http://oblik.mod.example",
        "https://",
        "https://oblik.mod.example/pdp",
        "https://oblik.mod.example?a=1",
        "https://oblik.mod.example#a",
        "https://user@oblik.mod.example",
        "https://oblik.mod.example:port",
        "https://oblik.mod.example:99999",
        "https://[::1",
        "ftp://oblik.mod.example",
    ],
)
def test_what_is_no_address_is_refused(text):
    """In the clear to another machine, with a path, a query or a name, or of another scheme."""
    with pytest.raises(Misconfigured, match="is not an address"):
        settings_from({"OBLIK_URL": text})


def test_a_rate_is_a_number():
    """From 1 to a million a second; unset it is the default."""
    assert settings_from({}).requests_per_second == 5_000
    assert settings_from({"OBLIK_REQUESTS_PER_SECOND": "1000000"}).requests_per_second == 1_000_000


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1000001", "²", "00"])
def test_what_is_no_rate_is_refused(text):
    """There is no way to have no limit."""
    with pytest.raises(Misconfigured, match="is not a rate"):
        settings_from({"OBLIK_REQUESTS_PER_SECOND": text})
