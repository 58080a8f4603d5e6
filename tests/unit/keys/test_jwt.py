"""Tokens by themselves: vectors of the RFCs, what the two algorithms make and take, and mutations: none holds."""

import json
import string
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadToken, Malformed
from ledger.keys.jwt import (
    MAX_TOKEN_BYTES,
    check_claims,
    check_token,
    decode,
    encode,
    format_jwk,
    parse_jwk,
    parse_public_pem,
    public_key,
    read_token,
    sign_token,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
START = int(NOW.timestamp())
ED25519, P256 = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
KEYS = {"EdDSA": ED25519, "ES256": P256}
CLAIMS = {"iss": "us", "aud": "them", "iat": START, "exp": START + 60, "jti": "1", "n": {"a": [1, "é", None, True]}}
ALPHABET = string.ascii_letters + string.digits + "-_.= \n"


def made(algorithm: str = "EdDSA", **claims: object) -> str:
    key = KEYS[algorithm]
    return sign_token({**CLAIMS, **claims}, key, typ="test+jwt", kid=public_key(key.public_key()).kid)


def accept(text: str, algorithm: str = "EdDSA") -> dict[str, object]:
    token = read_token(text)
    check_token(token, public_key(KEYS[algorithm].public_key()), types=("test+jwt",))
    check_claims(token, issuer="us", audiences=("them",), now=NOW, seconds=60)
    return token.claims


@pytest.mark.parametrize("algorithm", KEYS)
def test_what_is_signed_is_accepted(algorithm):
    """With the algorithm of the key, and all claims as they were."""
    assert accept(made(algorithm), algorithm) == CLAIMS
    assert algorithm == read_token(made(algorithm)).header["alg"]


@pytest.mark.parametrize("algorithm", KEYS)
def test_no_other_key_accepts_it(algorithm):
    """Neither one of the same kind nor one of the other."""
    for key in (Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())):
        with pytest.raises(BadToken):
            check_token(read_token(made(algorithm)), public_key(key.public_key()), types=("test+jwt",))


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": START}, "expired"),
        ({"exp": START + 1}, ""),
        ({"iat": START + 30, "exp": START + 90}, ""),
        ({"iat": START + 31, "exp": START + 91}, "early"),
        ({"nbf": START + 30}, ""),
        ({"nbf": START + 31}, "early"),
        ({"exp": START + 61}, "lifetime"),
        ({"iat": START - 30, "exp": START + 30}, ""),
        ({"iat": START - 30, "exp": START + 31}, "lifetime"),
    ],
)
def test_times_are_held_to_the_second(times, reason):
    """From 30 seconds before it holds, since clocks differ, to the second of its end; no longer than it may."""
    if not reason:
        accept(made(**times))
        return
    with pytest.raises(BadToken) as refused:
        accept(made(**times))
    assert refused.value.reason == reason


def test_thumbprint_of_rfc_8037():
    """Appendix A.3: the name of the key in its appendix A.2."""
    key = parse_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert format_jwk(key) == {**key.jwk, "alg": "EdDSA", "kid": key.kid, "use": "sig"}


def test_signature_of_rfc_7515():
    """Appendix A.3: a token that another program signed with ES256."""
    key = parse_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    )
    token = read_token(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
        "nVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    check_token(token, key, types=(None,))
    assert token.claims["iss"] == "joe"
    with pytest.raises(BadToken, match="has expired"):
        check_claims(_with(token, iat=1300819000, jti="1"), issuer="joe", audiences=(None,), now=NOW, seconds=60)


def _with(token, **claims):
    return type(token)(token.text, token.header, {**token.claims, **claims})


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_is_the_same_as_jwk_and_as_pem(key):
    """Either way it has one name."""
    known = public_key(key.public_key())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert known.kid == parse_public_pem(pem).kid == parse_jwk(known.jwk).kid == parse_jwk(format_jwk(known)).kid


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_has_one_text(algorithm):
    """Padding, which other readers skip, makes it another one, in each of its parts."""
    parts = made(algorithm).split(".")
    for place, part in enumerate(parts):
        padded = [*parts[:place], part + "=" * (-len(part) % 4 or 4), *parts[place + 1 :]]
        with pytest.raises(BadToken, match="base64url"):
            accept(".".join(padded), algorithm)


@pytest.mark.parametrize("algorithm", KEYS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutation_is_accepted(algorithm, data):
    """A character changed, removed or added anywhere, and parts exchanged: refused, by a BadToken and nothing else."""
    text = made(algorithm)
    at = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from(ALPHABET))
    other = made(algorithm, jti="2").split(".")
    mixed = data.draw(st.sampled_from([0, 1, 2]))
    parts = text.split(".")
    parts[mixed] = other[mixed]
    mutants = [text[:at] + character + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + character + text[at:]]
    for mutant in (*mutants, text + character, ".".join(parts) if mixed != 0 else text[:at]):
        if mutant != text:
            with pytest.raises(BadToken):
                accept(mutant, algorithm)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=ALPHABET) | st.text() | st.binary().map(lambda data: f"{encode(data)}.{encode(data)}."))
def test_nothing_is_accepted_that_was_not_made(text):
    """Whatever it is, it is refused by a BadToken and nothing else."""
    with pytest.raises(BadToken):
        accept(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["iss", "aud", "iat", "exp", "nbf", "jti"]), JSON, min_size=1))
def test_claims_of_any_type_are_held_to_what_they_have_to_be(changes):
    """Signed by the right key, with claims of any JSON: accepted only where they say the same, else a BadToken."""
    try:
        claims = accept(made(**changes))
    except BadToken:
        return
    assert (claims["iss"], claims["aud"] in ("them", ["them"])) == ("us", True)
    assert START < claims["exp"] <= START + 90
    assert all(type(claims[name]) is int for name in ("iat", "exp"))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk"]), JSON, min_size=1))
def test_a_header_of_any_type_is_held_to_what_it_has_to_be(changes):
    """Signed with whatever header: accepted only where it says the same as ours does."""
    kid = public_key(ED25519.public_key()).kid
    header = {"alg": "EdDSA", "typ": "test+jwt", "kid": kid, **changes}
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(CLAIMS).encode())}"
    try:
        accept(f"{signed}.{encode(ED25519.sign(signed.encode()))}")
    except BadToken:
        return
    assert (header["alg"], str(header["typ"]).lower(), header.keys()) == ("EdDSA", "test+jwt", {"alg", "typ", "kid"})
    assert header["kid"] in (kid, None)


def test_a_token_has_a_size():
    """One byte more, and it is not looked at."""
    text = made(pad="x" * 5_000)
    fits = made(pad="x" * (5_000 + (MAX_TOKEN_BYTES - len(text)) * 3 // 4))
    assert MAX_TOKEN_BYTES - 3 <= len(fits) <= MAX_TOKEN_BYTES
    accept(fits)
    with pytest.raises(BadToken, match="more than 8,192 bytes"):
        read_token(fits + "A" * 4)


@given(st.binary())
def test_base64url_has_one_form(data):
    """What is written is read, and no other text is."""
    text = encode(data)
    assert data == decode(text)
    for other in (text + "=", text + "\n", text[:-1] + chr(ord(text[-1]) ^ 1) if len(data) % 3 else " " + text):
        with pytest.raises(ValueError, match=r"one form|[Pp]adding|alphabet|base64"):
            decode(other)


def test_private_keys_are_refused():
    """Whoever sends one has told it."""
    with pytest.raises(Malformed, match="private key"):
        parse_jwk({"kty": "oct", "d": "x"})
    with pytest.raises(Malformed, match="private key"):
        parse_public_pem("-----BEGIN PRIVATE KEY-----")
