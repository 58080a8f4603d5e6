"""Access tokens over HTTP: a registered key signs an assertion, gets a token, and is whom the ledger says it is."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from clients import CERT_HEADER, URL, Client, b64, failures, p256, raw, seconds, unb64
from commands import oblik
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from served import Served, check_problem, evaluation, serving
from world import OTHER, OWNER, PARTNER, open_world

from ledger.bootstrap import open_service
from ledger.errors import BadToken, Misconfigured
from ledger.events.registry import MemberAppointed
from ledger.keys.tokens import create_token_key, load_token_keys
from ledger.services import tokens
from ledger.services.tokens import ASSERTION_TYPE, GRANT_TYPE, MAX_LIVE_ASSERTIONS, USED, TokenRequest
from ledger.settings import settings_from

PATH = "/access/v1/evaluation"
CERTIFICATE, ANOTHER = (f":{base64.b64encode(der).decode()}:" for der in (b"certificate 1", b"certificate 2"))
SETTINGS = {"url": URL, "client_cert_header": CERT_HEADER.lower()}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path, **SETTINGS) as served:
        yield served


@pytest.fixture
def on_each_engine(database_url: str, tmp_path: Path) -> Iterator[Served]:
    with serving(database_url, tmp_path, **SETTINGS) as served:
        yield served


def check_refused(response: httpx.Response, status: int, error: str, description: str = "") -> None:
    """Check that an answer is an error as RFC 6749 §5.2 has it, and is kept by nobody."""
    assert response.status_code == status, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error", "error_description"}
    assert response.json()["error"] == error
    assert description in response.json()["error_description"]
    assert ("www-authenticate" in response.headers) == (status == 401)


def status(api: Served, token: str, body: dict | None = None, **headers: str) -> int:
    return api.send("POST", PATH, token, body or evaluation(), headers=headers).status_code


# From key to decision -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_a_registered_key_leads_to_a_decision(on_each_engine, kind):
    """Key, assertion, token, decision: with both kinds of key, recorded as the system that the key is of."""
    api = on_each_engine
    client = Client(api, key=p256() if kind == "P-256" else None)
    registered = client.register()
    answer = client.ask()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    granted = answer.json()
    assert (granted["token_type"], granted["expires_in"], granted["scope"]) == ("Bearer", 600, "evaluate train")
    decided = api.decide(granted["access_token"])
    assert decided["decision"] is True
    assert api.entries(int(decided["context"]["id"]))[0].by == {"org": PARTNER, "system": "trainer-1"}
    entry = api.entries(registered["seq"])[0]
    assert (entry.kind, entry.body["jwk_thumbprint"]) == ("credential.key_registered", registered["kid"])


def test_a_token_is_checked_with_what_is_published(api):
    """Any library finds issuer and keys through the metadata, and verifies the token (RFC 8414, RFC 9068)."""
    client = Client(api)
    client.register()
    token = client.token(scope="evaluate")
    found = api.http.get("/.well-known/oauth-authorization-server").json()
    assert (found["issuer"], found["token_endpoint"]) == (URL, f"{URL}/oauth2/token")
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    jwks = api.http.get(found["jwks_uri"].removeprefix(URL))
    assert jwks.headers["content-type"] == "application/jwk-set+json"
    (published,) = jwks.json()["keys"]
    assert published.keys() == {"kty", "crv", "x", "kid", "alg", "use"}
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "kid": published["kid"], "typ": "at+jwt"}
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(published), algorithms=["EdDSA"], audience=URL, issuer=URL, options=options)
    assert claims.keys() == {"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"}
    assert (claims["sub"], claims["client_id"], claims["scope"]) == (client.id, client.id, "evaluate")
    assert claims["exp"] - claims["iat"] == 600


def test_a_token_works_wherever_an_api_token_does(api):
    """Commands and reads take it, within its scopes: those of its client that were asked for."""
    client = Client(api)
    client.register(scopes=["evaluate", "read", "train"])
    narrow, wide = client.token(scope="evaluate"), client.token()
    own = f"/ledger/v1/streams/org:{PARTNER}/entries"
    assert api.send("GET", own, wide).status_code == 200
    check_problem(api.send("GET", own, narrow), 403)
    decision = int(api.decide(narrow)["context"]["id"])
    assert api.ok("runs", wide, {"id": "run-1", "decisions": [decision]})
    api.refused(403, "runs", narrow, {"id": "run-2", "decisions": [decision]}, "not scoped for `train`")


def test_one_may_ask_for_its_own_and_the_owner_for_all(api):
    """A partner's system asks for its own organisation; the owner's gateway for every one; others are 403, by name."""
    mine, gate, other = Client(api), Client(api, "gate-key"), Client(api, "other-key")
    mine.register()
    gate.register(org=OWNER, holder="gate-1")
    other.register(org=OTHER)
    assert api.decide(mine.token())["decision"] is True
    assert api.decide(gate.token())["decision"] is True
    detail = f"`{OTHER}/trainer-1` may ask for `{OTHER}` only, not for `{PARTNER}`"
    api.refused(403, PATH, other.token(), evaluation(), detail)
    api.refused(403, PATH, mine.token(scope="train"), evaluation(), "not scoped for `evaluate`")


# Registering ----------------------------------------------------------------------------------------------------------


def test_a_partner_registers_and_ends_its_own_keys_and_no_others(api):
    """Its administrator does so for its own organisation; the owner's for all; nobody else for any."""
    client, stranger = Client(api), Client(api, "stranger")
    for token in ("steward", "security", "sato", "trainer"):
        api.refused(403, "credentials/keys", token, client.body())
    api.world.append(MemberAppointed(org=PARTNER, person="k.sato", roles=("administrator",)))
    client.register("sato")
    api.refused(403, "credentials/keys", "sato", stranger.body(org=OTHER), "a person of `mod-ua`")
    api.refused(403, "credentials/keys", "sato", stranger.body(org=OWNER), "a person of `mod-ua`")
    stranger.register(org=OTHER)
    api.refused(403, "credentials/stranger/revocation", "sato", {"reason": "x"}, "a person of `mod-ua`")
    api.ok("credentials/acme-key/revocation", "sato", {"reason": "the machine is gone"})


def _pem_of(private) -> str:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ED = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        (_pem_of(Ed25519PrivateKey.generate()), "it is a private key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": ED, "d": ED}, "it is a private key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": ED[:-1]}, "`x` is not 32 bytes"),
        ({"kty": "OKP", "crv": "Ed25519", "x": ED + "="}, "`x` is not 32 bytes"),
        ({"kty": "OKP", "crv": "X25519", "x": ED}, "neither an Ed25519 nor a P-256 key"),
        ({"kty": "oct", "k": ED}, "neither an Ed25519 nor a P-256 key"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "neither an Ed25519 nor a P-256 key"),
        ({"kty": "EC", "crv": "P-256", "x": ED, "y": ED}, "not on the curve"),
        ({"kty": "EC", "crv": "P-256", "x": ED}, "`y` is not 32 bytes"),
        ("no key", "not a public key in PEM"),
        (Client(None, key=generate_private_key(SECP384R1())).pem, "its curve is `secp384r1`"),
        (Client(None, key=generate_rsa(65537, 2048)).pem, "neither an Ed25519 nor a P-256 key"),
    ],
)
def test_only_a_public_key_of_two_kinds_is_registered(api, key, detail):
    """Private keys, keys for RSA and HMAC, other curves, and what is no key are refused by field."""
    api.refused(400, "credentials/keys", "admin", Client(api).body(public_key=key), detail, "/public_key")


def test_a_key_is_registered_once(api):
    """Neither under another id, nor again after it was revoked."""
    client = Client(api)
    client.register()
    api.refused(409, "credentials/keys", "admin", client.body(id="again"), "registered already")
    api.ok("credentials/acme-key/revocation", "security", {"reason": "lost"})
    api.refused(409, "credentials/keys", "admin", client.body(id="again"), "registered already")
    api.refused(409, "credentials/keys", "admin", Client(api).body(), "exists already")


# What the ledger says counts ------------------------------------------------------------------------------------------


def test_a_revoked_client_is_nobody_at_once(on_each_engine):
    """Its tokens, though they have not expired, stop with the entry; and it gets no more."""
    api = on_each_engine
    client = Client(api)
    client.register()
    token = client.token()
    assert api.decide(token)["decision"] is True
    api.ok("credentials/acme-key/revocation", "security", {"reason": "lost"})
    api.refused(401, PATH, token, evaluation(), "unknown, expired or revoked")
    api.refused(401, "runs", token, {"id": "r", "decisions": [1]}, "unknown, expired or revoked")
    check_refused(client.ask(), 401, "invalid_client", "no key in force")


def test_a_token_ends(api):
    """After ten minutes, and no later than its client does."""
    client = Client(api)
    client.register(expires="2026-11-21T09:45:00.000000Z")
    token = client.token()
    api.world.clock.now += timedelta(minutes=10)
    problem = check_problem(api.post(PATH, token, evaluation()), 401)
    assert "it has expired" in problem["detail"]
    late = client.ask()
    assert late.json()["expires_in"] == 300
    api.world.clock.now += timedelta(minutes=5)
    assert status(api, late.json()["access_token"]) == 401
    check_refused(client.ask(), 401, "invalid_client", "revoked or has expired")


def test_a_verified_token_that_is_remembered_still_ends(api):
    """One that was used a moment before its end is refused at its end."""
    client = Client(api)
    client.register()
    token = client.token()
    api.world.clock.now += timedelta(seconds=598)
    assert status(api, token) == 200
    api.world.clock.now += timedelta(seconds=2)
    assert status(api, token) == 401


# Assertions -----------------------------------------------------------------------------------------------------------


def test_an_assertion_is_taken_once(on_each_engine):
    """A replay is refused, also after it got no token for its scope, and another client may use the same jti."""
    api = on_each_engine
    client, other = Client(api), Client(api, "other-key")
    client.register()
    other.register(org=OTHER)
    assertion = client.assertion(jti="once")
    assert client.ask(assertion).status_code == 200
    check_refused(client.ask(assertion), 401, "invalid_client", "it was used before")
    assert other.ask(other.assertion(jti="once")).status_code == 200
    unscoped = client.assertion()
    check_refused(client.ask(unscoped, scope="govern"), 400, "invalid_scope", "`govern` is no scope of this client")
    check_refused(client.ask(unscoped), 401, "invalid_client", "it was used before")


def test_an_assertion_is_taken_once_by_all_processes(on_each_engine):
    """Two services over one database, asked at the same time: one token in all, each time."""
    api = on_each_engine
    client = Client(api)
    client.register()
    second = open_service(api.world.settings, clock=api.world.clock)
    try:
        services = (api.world.service, second)
        for _ in range(10):
            assert sorted(_race(services, client.assertion())) == ["granted", "replayed"]
    finally:
        second.close()


def _race(services, assertion: str) -> list[str]:
    asked = TokenRequest(grant_type=GRANT_TYPE, assertion_type=ASSERTION_TYPE, assertion=assertion)
    proved = [service.tokens.prove(asked) for service in services]
    together, outcomes = threading.Barrier(len(services)), []

    def ask(service, one) -> None:
        together.wait(30)
        try:
            service.sequencer.submit(lambda tx: service.tokens.grant(tx, one)).result(30)
            outcomes.append("granted")
        except BadToken as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(services, proved, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def test_used_assertions_are_bounded_and_forgotten(api):
    """A client has so many alive at a time; once they have ended, they are forgotten, and cannot be used either."""
    client = Client(api)
    client.register()
    ends = seconds(api.world.clock.now) + 200
    rows = [{"client": client.id, "jti": str(n), "ends": ends} for n in range(MAX_LIVE_ASSERTIONS)]

    def fill(tx) -> None:
        tx.connection.execute(USED.insert(), rows)

    api.world.service.sequencer.submit(fill).result(30)
    busy = client.ask()
    check_refused(busy, 503, "temporarily_unavailable", "too many assertions")
    assert busy.headers["retry-after"] == "1"
    api.world.clock.now += timedelta(seconds=201)
    assert client.ask().status_code == 200
    with api.world.service.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM used_assertion").scalar_one() == 1


BAD_CLAIMS = [
    ({"iss": "other"}, "issued by"),
    ({"iss": None}, "issued by"),
    ({"sub": "nobody", "iss": "nobody"}, "no key in force"),
    ({"sub": None}, "no key in force"),
    ({"sub": 5}, "no key in force"),
    ({"aud": "https://elsewhere.example"}, "it is for"),
    ({"aud": f"{URL}/"}, "it is for"),
    ({"aud": f"{URL}/oauth2/token/"}, "it is for"),
    ({"aud": [URL, "https://elsewhere.example"]}, "it is for"),
    ({"aud": [[URL]]}, "it is for"),
    ({"aud": None}, "it is for"),
    ({"exp": None}, "does not say"),
    ({"iat": None}, "does not say"),
    ({"exp": "2100"}, "not a number of whole seconds"),
    ({"exp": True}, "not a number of whole seconds"),
    ({"exp": 1e400}, "plain JSON"),
    ({"exp": 1.5}, "plain JSON"),
    ({"exp": 2**60}, "not a number of whole seconds"),
    ({"jti": None}, "`jti`"),
    ({"jti": ""}, "`jti`"),
    ({"jti": 7}, "`jti`"),
    ({"jti": "x" * 129}, "`jti`"),
]


@pytest.mark.parametrize(("changes", "description"), BAD_CLAIMS)
def test_an_assertion_that_claims_something_else_is_refused(shared, changes, description):
    """Each claim is required, of its type, and exactly what it has to be."""
    check_refused(shared.ask(shared.assertion(**changes)), 401, "invalid_client", description)


@pytest.mark.parametrize(
    ("issued", "ends", "starts", "description"),
    [
        (-200, 0, None, "expired"),
        (-200, -1, None, "expired"),
        (60, 120, None, "not valid yet"),
        (0, 120, 60, "not valid yet"),
        (0, 331, None, "lives longer"),
        (-300, 20, None, "lives longer"),
        (-3600, 60, None, "lives longer"),
    ],
)
def test_an_assertion_holds_for_minutes(shared, issued, ends, starts, description):
    """Expired, not yet valid, or of a life of more than five minutes: refused."""
    now = seconds(shared.served.world.clock.now)
    times = {"iat": now + issued, "exp": now + ends, "nbf": None if starts is None else now + starts}
    check_refused(shared.ask(shared.assertion(**times)), 401, "invalid_client", description)


@pytest.mark.parametrize(
    ("header", "description"),
    [
        ({"alg": "none"}, "its algorithm is `none`"),
        ({"alg": "None"}, "its algorithm is `None`"),
        ({"alg": "HS256"}, "its algorithm is `HS256`"),
        ({"alg": "RS256"}, "its algorithm is `RS256`"),
        ({"alg": "ES256"}, "its algorithm is `ES256`"),
        ({"alg": ["EdDSA"]}, "its algorithm is"),
        ({"typ": "JWT"}, "its algorithm is"),
        ({"alg": "EdDSA", "typ": "at+jwt"}, "its type is `at+jwt`"),
        ({"alg": "EdDSA", "typ": 5}, "its type is `5`"),
        ({"alg": "EdDSA", "kid": "unknown"}, "no key here is called `unknown`"),
        ({"alg": "EdDSA", "crit": ["exp"], "exp": 1}, "its header has `crit`"),
        ({"alg": "EdDSA", "b64": False, "crit": ["b64"]}, "its header has `b64`"),
        ({"alg": "EdDSA", "jwk": {"kty": "OKP"}}, "its header has `jwk`"),
        ({"alg": "EdDSA", "jku": "https://evil.example/jwks"}, "its header has `jku`"),
        ([], "no object"),
        (b'{"alg":"EdDSA","alg":"EdDSA"}', "plain JSON"),
        (b'{"alg":"EdDSA"', "plain JSON"),
        (b'{"alg":NaN}', "plain JSON"),
        (b'{"alg":"\xff"}', "plain JSON"),
        (b"[" * 3000, "plain JSON"),
    ],
)
def test_an_assertion_of_another_header_is_refused(shared, header, description):
    """One algorithm a key, no type of another token, nothing in the header that could change its meaning."""
    check_refused(shared.ask(shared.sign(header, shared.claims())), 401, "invalid_client", description)


def test_a_name_twice_in_the_claims_is_refused(shared):
    """Two readers could take two values."""
    claims = json.dumps(shared.claims()).encode()
    for twice in (claims[:-1] + b',"sub":"other"}', claims[:-1] + b',"x":{"a":1,"a":2}}'):
        assertion = shared.sign({"alg": "EdDSA"}, twice)
        check_refused(shared.ask(assertion), 401, "invalid_client", "plain JSON")


def test_a_public_key_is_no_hmac_secret(shared):
    """An assertion that is authenticated with the client's public key as a secret, in any form of it, is refused."""
    point = shared.key.public_key().public_bytes_raw()
    for secret in (shared.pem.encode(), point, b64(point).encode()):
        signed = f"{raw({'alg': 'HS256', 'typ': 'JWT'})}.{raw(shared.claims())}"
        forged = f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
        check_refused(shared.ask(forged), 401, "invalid_client", "its algorithm is `HS256`")


@pytest.mark.parametrize("assertion", ["x", "a.b", "a.b.c.d.e", "..", "x" * 9_000, "é.é.é", "a" * 8_000 + ".b.c"])
def test_what_is_no_token_is_no_assertion(shared, assertion):
    """Parts that are too few, too many, too long or not base64url are refused."""
    check_refused(shared.ask(assertion), 401, "invalid_client", "the token is not accepted")


def test_a_signature_of_another_is_refused(shared):
    """Another key, no signature, or a part of one."""
    head, claims, signature = shared.assertion().split(".")
    stranger = Client(shared.served, shared.id)
    for forged in (stranger.assertion(), f"{head}.{claims}.", f"{head}.{claims}.{signature[:-6]}"):
        check_refused(shared.ask(forged), 401, "invalid_client", "its signature is not of its key")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Give a registered client of a service that the tests of refusals share."""
    folder = tmp_path_factory.mktemp("oauth")
    with serving(f"sqlite:///{folder / 'ledger.db'}", folder, **SETTINGS) as served:
        client = Client(served)
        client.register()
        yield client


# The form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": "evaluate  train"}, "invalid_scope"),
    ],
)
def test_a_request_of_another_form_is_refused(shared, changes, error):
    """Each by the code that RFC 6749 §5.2 has for it."""
    assertion = changes.pop("client_assertion", None)
    check_refused(shared.ask(assertion, **changes), 400, error)


def test_a_form_is_read_strictly(shared):
    """A field twice, another media type, two ways to say who one is, a body that is too large: refused."""
    post, form = shared.served.http.post, {"Content-Type": "application/x-www-form-urlencoded"}
    check_refused(post("/oauth2/token", content=b"scope=a&scope=b", headers=form), 400, "invalid_request", "twice")
    check_refused(post("/oauth2/token", content=b"scope=%FF", headers=form), 400, "invalid_request", "not a form")
    check_refused(post("/oauth2/token", content=b"a&b", headers=form), 400, "invalid_request", "not a form")
    check_refused(post("/oauth2/token", content=b"a=1&" * 30, headers=form), 400, "invalid_request", "not a form")
    check_refused(post("/oauth2/token", content=b"", headers=form), 400, "unsupported_grant_type")
    check_refused(post("/oauth2/token", json={}), 400, "invalid_request", "content type")
    check_refused(post("/oauth2/token", content=b"a=" + b"x" * 20_000, headers=form), 413, "invalid_request")
    basic = {"Authorization": "Basic YTpi"}
    check_refused(shared.ask(headers=basic), 400, "invalid_request", "in one way")
    check_refused(shared.ask(client_id="other"), 401, "invalid_client", "`client_id` is `other`")
    assert shared.ask(client_id=shared.id).status_code == 200


# Access tokens --------------------------------------------------------------------------------------------------------


def test_tokens_of_others_are_refused(shared):
    """A client's own signature, an assertion, another audience, issuer or type: none is an access token of ours."""
    served = shared.served
    good = shared.token()
    head, claims, _ = good.split(".")
    header, said = json.loads(unb64(head)), json.loads(unb64(claims))
    for forged in (
        shared.assertion(),
        shared.sign(header, said),
        shared.sign({**header, "kid": "other"}, said),
        shared.sign({"alg": "EdDSA"}, said),
        f"{raw({**header, 'alg': 'none'})}.{claims}.",
        f"{head}.{raw({**said, 'sub': 'other', 'client_id': 'gate-key'})}.{good.split('.')[2]}",
    ):
        check_problem(served.post(PATH, forged, evaluation()), 401)
        check_problem(served.send("GET", f"/ledger/v1/streams/org:{PARTNER}/entries", forged), 401)
    assert status(served, good) == 200


@pytest.mark.parametrize(
    ("header", "claims", "detail"),
    [
        ({}, {"aud": "https://elsewhere.example"}, "it is for"),
        ({}, {"iss": "https://elsewhere.example"}, "issued by"),
        ({}, {"exp": 0}, "expired"),
        ({}, {"iat": 2**40, "exp": 2**40 + 9}, "not valid yet"),
        ({}, {"iat": 0}, "lives longer"),
        ({}, {"jti": None}, "`jti`"),
        ({}, {"cnf": {"jkt": "x"}}, "bound to something"),
        ({}, {"cnf": "x"}, "bound to something"),
        ({"typ": "JWT"}, {}, "its type"),
        ({"typ": "permission+jwt"}, {}, "its type"),
    ],
)
def test_a_token_of_our_own_for_something_else_is_refused(shared, header, claims, detail):
    """What the service's own key signed for another purpose, audience or time is no access token."""
    service = shared.served.world.service
    key = service.tokens._keys.signing(service.clock())
    ours = Client(shared.served, key=key.private)
    good = shared.token()
    head, said = (json.loads(unb64(part)) for part in good.split(".")[:2])
    changed = {name: value for name, value in {**said, **claims}.items() if value is not None}
    problem = check_problem(shared.served.post(PATH, ours.sign({**head, **header}, changed), evaluation()), 401)
    assert detail in problem["detail"]
    assert status(shared.served, ours.sign(head, said)) == 200


def test_a_token_is_verified_once_and_not_many_are_remembered(api, monkeypatch):
    """A token that is shown again costs no signature; beyond the limit what was remembered is forgotten, and works."""
    checked = []
    monkeypatch.setattr(tokens, "MAX_REMEMBERED", 3)
    check = tokens.check_token
    monkeypatch.setattr(
        tokens, "check_token", lambda token, *more, **named: (checked.append(token.text), check(token, *more, **named))
    )
    client = Client(api)
    client.register()
    shown = [client.token() for _ in range(5)]
    checked.clear()
    assert {status(api, shown[0]) for _ in range(3)} == {200}
    assert checked == [shown[0]]
    assert {status(api, token) for token in shown * 2} == {200}
    assert len(api.world.service.tokens._verified) <= 3


def test_without_a_url_nothing_is_issued_or_taken(tmp_path):
    """A service that does not know its own name has no access tokens: 404, and 401 for whoever shows one."""
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as served:
        client = Client(served)
        client.register()
        check_refused(client.ask(), 404, "invalid_request", "OBLIK_URL")
        for path in ("/oauth2/jwks", "/.well-known/oauth-authorization-server"):
            check_problem(served.http.get(path), 404)
        problem = check_problem(served.post(PATH, client.assertion(), evaluation()), 401)
        assert "no access token is issued here" in problem["detail"]


# Certificates ---------------------------------------------------------------------------------------------------------


def test_a_token_is_bound_to_the_certificate_it_was_asked_for_with(api):
    """RFC 8705: with the certificate it works, without it or with another one it does not."""
    client = Client(api)
    client.register()
    token = client.token(headers={CERT_HEADER: CERTIFICATE})
    bound = json.loads(unb64(token.split(".")[1]))["cnf"]
    assert bound == {"x5t#S256": b64(hashlib.sha256(b"certificate 1").digest())}
    assert status(api, token, **{CERT_HEADER: CERTIFICATE}) == 200
    assert status(api, token) == 401
    assert status(api, token, **{CERT_HEADER: ANOTHER}) == 401
    assert status(api, client.token(), **{CERT_HEADER: ANOTHER}) == 200
    check_problem(api.send("POST", "/api/v1/runs", token, {"id": "r", "decisions": [1]}), 401)


def test_a_client_that_has_to_have_a_certificate_gets_no_token_without(api):
    """`certificate_bound` of its registration."""
    client = Client(api)
    client.register(certificate_bound=True)
    check_refused(client.ask(), 401, "invalid_client", "has to connect with a TLS certificate")
    assert status(api, client.token(headers={CERT_HEADER: CERTIFICATE}), **{CERT_HEADER: CERTIFICATE}) == 200


@pytest.mark.parametrize("value", ["x", ":", "::", ":%:", ":é:", CERTIFICATE[:-1], f":{'A' * 20_000}:"])
def test_a_certificate_that_is_none_is_refused(api, value):
    """Not base64 between colons (RFC 9440), or too long."""
    client = Client(api)
    client.register()
    token = client.token(headers={CERT_HEADER: CERTIFICATE})
    shown = {CERT_HEADER: value.encode("latin-1")}
    check_problem(api.send("POST", PATH, token, evaluation(), headers=shown), 400)
    check_refused(client.ask(headers=shown), 400, "invalid_request", "RFC 9440")


def test_two_certificates_are_refused(api):
    """One of them may be the caller's own invention."""
    client = Client(api)
    client.register()
    token = client.token(headers={CERT_HEADER: CERTIFICATE})
    headers = [(CERT_HEADER, ANOTHER), (CERT_HEADER, CERTIFICATE), ("Authorization", f"Bearer {token}")]
    check_problem(api.http.post(PATH, json=evaluation(), headers=headers), 400)


def test_a_header_is_not_believed_unless_it_was_named(tmp_path):
    """Without the setting no token is bound, and a bound one does not work: the header could be anyone's."""
    with serving(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path, url=URL) as served:
        client = Client(served)
        client.register()
        assert "cnf" not in json.loads(unb64(client.token(headers={CERT_HEADER: CERTIFICATE}).split(".")[1]))
        client2 = Client(served, "bound-key")
        client2.register(certificate_bound=True)
        check_refused(client2.ask(headers={CERT_HEADER: CERTIFICATE}), 401, "invalid_client")


# Keys -----------------------------------------------------------------------------------------------------------------


def kid_of(token: str) -> str:
    return str(json.loads(unb64(token.split(".", maxsplit=1)[0]))["kid"])


def test_keys_change_without_a_gap(api):
    """A new key is published before it signs, the old one after it signed; no token fails on the way."""
    client, clock = Client(api), api.world.clock
    client.register()

    def published() -> set[str]:
        return {key["kid"] for key in api.http.get("/oauth2/jwks").json()["keys"]}

    first = kid_of(client.token())
    clock.now += timedelta(seconds=1)
    create_token_key(api.world.settings.keys, now=clock.now)
    clock.now += timedelta(seconds=31)
    both = published()
    assert len(both) == 2
    assert kid_of(client.token()) == first
    clock.now += timedelta(minutes=14)
    last = client.token()
    assert kid_of(last) == first
    clock.now += timedelta(minutes=1)
    fresh = client.token()
    assert {kid_of(fresh)} == both - {first}
    assert status(api, last) == status(api, fresh) == 200
    clock.now += timedelta(hours=1)
    assert published() == both - {first}


def test_a_deleted_key_is_believed_no_more(api):
    """Its tokens, though remembered as verified, fail once the folder was looked at again."""
    client = Client(api)
    client.register()
    token, settings = client.token(), api.world.settings
    assert status(api, token) == 200
    (path,) = settings.keys.glob("token-*.pem")
    create_token_key(settings.keys, now=api.world.clock.now + timedelta(seconds=1))
    path.unlink()
    api.world.clock.now += timedelta(seconds=31)
    assert status(api, token) == 401
    assert status(api, client.token()) == 200


def test_the_operator_makes_keys_by_command(tmp_path):
    """`init` makes the first, `keys rotate-tokens` the next, `keys encrypt` encrypts them with the others."""
    ledger = ("--origin", "test.example/oblik", "--owner", OWNER, "--administrator", "v.melnyk")
    assert oblik("init", *ledger, "--data", tmp_path / "data", cwd=tmp_path).returncode == 0
    (first,) = (tmp_path / "data" / "keys").glob("token-*.pem")
    create_token_key(first.parent, now=datetime(2020, 1, 1, tzinfo=UTC))
    first.unlink()  # the next one is not made in the same second
    rotated = oblik("keys", "rotate-tokens", "--data", tmp_path / "data", cwd=tmp_path)
    assert "it signs in 15 minutes; the key before it is believed for 60 more" in rotated.stdout
    assert len(load_token_keys(first.parent)) == 2
    secret = tmp_path / "passphrase"
    secret.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    secret.chmod(0o600)
    setting = {"OBLIK_KEY_PASSPHRASE_FILE": str(secret)}
    assert oblik("keys", "encrypt", "--data", tmp_path / "data", cwd=tmp_path, env=setting).stdout.count("token-") == 2
    assert len(load_token_keys(first.parent, passphrase_file=secret)) == 2


def test_a_key_that_cannot_be_read_is_told_at_start(tmp_path):
    """The service does not start, where it would have to refuse every token later."""
    world = open_world(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path, **SETTINGS)
    world.service.close()
    (path,) = world.settings.keys.glob("token-*.pem")
    path.write_text("no key", encoding="utf-8")
    with pytest.raises(Misconfigured, match="cannot be read"):
        open_service(world.settings, clock=world.clock)


@pytest.mark.parametrize(
    "url",
    ["http://ledger.mod.example", "ledger.mod.example", "https://", "https://x/?a=1", "https://x/#a", "https://u@x/"],
)
def test_the_services_url_is_one(url):
    """Over TLS, but on this machine; without a path or query; a slash at its end is left out."""
    with pytest.raises(Misconfigured, match="is not an address"):
        settings_from({"OBLIK_URL": url})
    assert settings_from({"OBLIK_URL": "https://ledger.mod.example/"}).url == "https://ledger.mod.example"
    assert settings_from({"OBLIK_URL": "http://127.0.0.1:8080"}).url == "http://127.0.0.1:8080"
    assert settings_from({"OBLIK_CLIENT_CERT_HEADER": "Client-Cert"}).client_cert_header == "client-cert"


# The record of failures -----------------------------------------------------------------------------------------------


def test_a_failure_is_on_record_without_the_token(api):
    """Client, rule and organisation; in the stream of that organisation; nothing of key or token."""
    client = Client(api)
    client.register()
    assertion = client.assertion()
    client.ask(assertion)
    client.ask(assertion)
    assert failures(api) == [{"reason": "replayed", "client": "acme-key", "org": PARTNER}]
    entry = api.entries()[-1]
    assert entry.about.keys() == {f"org:{PARTNER}"}
    assert entry.by == {"org": OWNER, "system": "service"}


def test_strangers_do_not_fill_the_ledger(api):
    """One entry in ten minutes for all who are unknown, one for each client; the next says how many were not."""
    client = Client(api)
    client.register()
    stranger = Client(api, "stranger")
    for _ in range(20):
        stranger.ask()
        client.ask(client.assertion(aud="x"))
        api.post(PATH, stranger.assertion(), evaluation())
    kept = failures(api)
    assert [body["reason"] for body in kept] == ["client", "audience"]
    api.world.clock.now += timedelta(minutes=10)
    stranger.ask()
    assert failures(api)[2:] == [{"reason": "client", "unrecorded": 58}]


def test_a_failure_changes_nothing_that_decisions_rest_on(api):
    """`state_seq` stays: strangers cannot make the service read everything anew."""
    before = api.decide()
    Client(api, "stranger").ask()
    assert len(failures(api)) == 1
    decisions = [
        entry.body["state_seq"] for entry in api.entries(int(before["context"]["id"])) if "asked" in entry.body
    ]
    api.decide()
    decisions += [entry.body["state_seq"] for entry in api.entries() if "asked" in entry.body]
    assert len(set(decisions)) == 1
