"""The story: the main job, from an enrolment to a verified ledger, each step through the HTTP API.

A ministry shares drone imagery with one partner, for one purpose, at one tier. Everything that should be allowed is;
all that should not is denied, with the reasons. A step that comes out otherwise ends the story with an error.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.cli.client import Client, UnexpectedAnswer, say
from ledger.cli.inputs import Inputs
from ledger.governance.manifest import sign_manifest
from ledger.log.entry import format_time
from ledger.resources import folder

MINISTRY, PARTNER, OTHER = "mod-ua", "acme-jp", "orion-pl"
DATASET, WEIGHTS = "uav-imagery", "perception-1"

OFFICIALS = {
    "o.koval": ["steward"],
    "i.bondar": ["security"],
    "l.shevchuk": ["legal"],
    "e.moroz": ["engineering"],
    "d.lysenko": ["ethics"],
    "a.tkach": ["auditor"],
}


class Story:
    """Plays the steps in order. Callers are added as their tokens are issued."""

    def __init__(self, http: httpx.Client, *, administrator: str, token: str, inputs: Inputs, now: datetime) -> None:
        self._http = http
        self._inputs = inputs
        self._now = now.astimezone(UTC)
        self._admin = Client(http, administrator, token)
        self._callers: dict[str, Client] = {}
        self._decision = 0
        self._version = ""

    def play(self) -> None:
        """Play all of it. Raises UnexpectedAnswer where the service does not answer as told here."""
        self._enrol()
        self._register()
        self._adopt()
        self._agree()
        self._grant()
        self._ask()
        self._use()
        self._train()
        self._promote()
        self._revoke()

    def token_of(self, name: str) -> str:
        """Give the token that a caller was issued in the story."""
        return self._callers[name].token

    def _time(self, days: float) -> str:
        return format_time(self._now + timedelta(days=days))

    # The people ------------------------------------------------------------------------------------------------------

    def _enrol(self) -> None:
        ministry = {"id": MINISTRY, "name": "Ministry of Defence of Ukraine", "country": "UKR", "trust_tier": 4}
        say("The ministry enrols itself.", self._admin.post("/api/v1/organisations", ministry)["seq"])
        for person, roles in OFFICIALS.items():
            self._appoint(MINISTRY, person, roles, ["govern", "read"])
        say(f"{len(OFFICIALS)} officials are appointed, each in a role of their own, and given tokens.")
        self._enrol_partner(PARTNER, "Acme Robotics KK", "JPN", [], 3)
        self._enrol_partner(OTHER, "Orion Sensing", "POL", ["NATO"], 2)
        for org, person in ((PARTNER, "k.sato"), (OTHER, "m.nowak")):
            self._appoint(org, person, ["applicant", "signatory"], ["govern"])
            self._issue(org, "trainer-1", "system", ["evaluate", "train"])
            self._issue(org, "gateway-1", "system", ["report"])
        say("Each partner's signatory, training system and data gateway are given tokens.")

    def _enrol_partner(self, org: str, name: str, country: str, communities: list[str], tier: int) -> None:
        body = {"id": org, "name": name, "country": country, "communities": communities, "trust_tier": tier}
        self._admin.post("/api/v1/organisations", body)
        seq = self._callers["i.bondar"].post(f"/api/v1/organisations/{org}/enrolment")["seq"]
        say(f"{name} ({country}, trust tier {tier}) is proposed by the administrator and confirmed by security.", seq)

    def _appoint(self, org: str, person: str, roles: list[str], scopes: list[str]) -> None:
        self._admin.put(f"/api/v1/organisations/{org}/members/{person}", {"roles": roles})
        self._issue(org, person, "person", scopes)

    def _issue(self, org: str, holder: str, holder_type: str, scopes: list[str]) -> None:
        body = {
            "id": f"{org}.{holder}",
            "org": org,
            "holder": holder,
            "holder_type": holder_type,
            "scopes": scopes,
            "expires": self._time(90),
        }
        issued = self._admin.post("/api/v1/credentials", body)
        name = holder if holder_type == "person" else f"{org}/{holder}"
        self._callers[name] = Client(self._http, name, issued["token"])

    # The data --------------------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Only the policy: the purposes have to be there before data is bound to them."""
        root = folder("policy_models") / "dataset_access"
        body = {
            "name": "dataset_access",
            "model": (root / "model.conf").read_text(encoding="utf-8"),
            "rows": (root / "policy.csv").read_text(encoding="utf-8"),
        }
        seq = self._callers["i.bondar"].post("/api/v1/policies", body)["seq"]
        say("Security adopts the policy `dataset_access`, by digest.", seq)

    def _register(self) -> None:
        steward, security = self._callers["o.koval"], self._callers["i.bondar"]
        nodes = {"nodes": msgspec.to_builtins(self._inputs.purposes)}
        seq = steward.post("/api/v1/purposes", nodes)["seq"]
        say(f"The steward adopts a tree of {len(self._inputs.purposes)} purposes; offensive ones are prohibited.", seq)
        spif = {"spif": self._inputs.spif.decode()}
        seq = security.post("/api/v1/security-policies", spif)["seq"]
        say(f"Security adopts the security policy {self._inputs.security_policy}, by which labels are read.", seq)
        body = {"id": DATASET, "title": self._inputs.title}
        say(f"The steward registers the dataset: {self._inputs.title}.", steward.post("/api/v1/datasets", body)["seq"])
        seq = self._version_of("raw-1", "raw", self._inputs.raw, label=self._inputs.label.decode())
        say(f"Its raw version: card, signed manifest of {len(self._inputs.raw)} files and label are verified.", seq)
        seq = self._version_of("redacted-1", "redacted", self._inputs.redacted, derived_from=["raw-1"])
        say("A redacted version is derived from it; its label follows from the raw one's.", seq)

    def _version_of(self, version: str, tier: str, files: Mapping[str, str], **more: Any) -> int:
        manifest, public_key = signed_manifest(files, f"{DATASET}-{version}")
        body = {
            "version": version,
            "tier": tier,
            "card": self._inputs.card.decode(),
            "manifest": manifest,
            "public_key": public_key,
            "files": dict(files),
            "security_policy": self._inputs.security_policy,
            "bounds": {
                "purposes": ["defensive", "humanitarian", "research"],
                "countries": ["JPN", "POL", "UKR"],
                "until": self._time(730),
            },
            **more,
        }
        seq: int = self._callers["o.koval"].post(f"/api/v1/datasets/{DATASET}/versions", body)["seq"]
        return seq

    # The agreement and the grant --------------------------------------------------------------------------------------

    def _agree(self) -> None:
        terms = {
            "purposes": ["humanitarian"],
            "activities": ["evaluate", "train"],
            "tier": "redacted",
            "environments": ["enclave"],
            "countries": ["JPN", "UKR"],
            "starts": self._time(-1),
            "ends": self._time(360),
        }
        body = {
            "id": "ua-acme-2026",
            "template": "data_use",
            "template_version": "v1",
            "consumer": PARTNER,
            "terms": terms,
        }
        seq = self._callers["o.koval"].post("/api/v1/agreements", body)["seq"]
        say(
            "The steward proposes a use agreement to Acme: humanitarian purposes, redacted at most, in JPN or UKR.", seq
        )
        seq = self._callers["l.shevchuk"].post("/api/v1/agreements/ua-acme-2026/signatures")["seq"]
        say("Legal signs for the ministry.", seq)
        seq = self._callers["k.sato"].post("/api/v1/agreements/ua-acme-2026/signatures")["seq"]
        say("Acme's signatory signs; the agreement is in force.", seq)

    def _grant(self) -> None:
        terms = {
            "purpose": "humanitarian.demining",
            "activities": ["train"],
            "tier": "redacted",
            "environments": ["enclave"],
            "countries": ["JPN"],
            "starts": self._time(-1),
            "ends": self._time(180),
        }
        body = {
            "id": "req-1",
            "agreement": "ua-acme-2026",
            "resource": f"dataset:{DATASET}",
            "terms": terms,
            "justification": "a detector of mines for clearance teams",
        }
        asked = self._callers["k.sato"].post("/api/v1/access-requests", body)
        say(f"Acme asks for access to train; it takes {' and '.join(asked['quorum'])} to grant it.", asked["seq"])
        votes = "/api/v1/access-requests/req-1/votes"
        first = self._callers["o.koval"].post(votes, {"role": "steward", "vote": "approve"})
        say(f"The steward approves; {', '.join(first['missing_roles'])} is missing still.", first["seq"])
        second = self._callers["i.bondar"].post(votes, {"role": "security", "vote": "approve"})
        self._expect(second["outcome"], "granted")
        say("Security approves: the quorum is complete, and the grant is issued.", second["granted_seq"])

    # The decisions ----------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        allowed = self._evaluate("Acme's system asks to train on redacted data for demining in JPN", allowed=True)
        self._decision = int(allowed["context"]["id"])
        self._version = allowed["context"]["version"]
        self._evaluate("… for an offensive purpose", purpose="offensive.strike", because="purpose_not_prohibited")
        self._evaluate("… on the raw tier", tier="raw", because="tier_within_grant")
        self._evaluate("… from a country outside the agreement", country="USA", because="location_permitted")
        self._evaluate("Orion, the other partner, asks for the same", org=OTHER, because="grant_current")

    def _evaluate(
        self,
        sentence: str,
        *,
        allowed: bool = False,
        because: str = "",
        org: str = PARTNER,
        purpose: str = "humanitarian.demining",
        tier: str = "redacted",
        country: str = "JPN",
    ) -> dict[str, Any]:
        body = {
            "subject": {"type": "system", "id": f"{org}/trainer-1"},
            "action": {"name": "train"},
            "resource": {"type": "dataset", "id": DATASET},
            "context": {"purpose": purpose, "tier": tier, "environment": {"kind": "enclave", "country": country}},
        }
        answer = self._callers[f"{org}/trainer-1"].post("/access/v1/evaluation", body, expect=200)
        seq = int(answer["context"]["id"])
        self._expect(answer["decision"], allowed)
        say(f"{sentence}: {'allowed' if allowed else 'denied'}.", seq)
        failed = [reason for reason in answer["context"]["reasons"] if not reason["held"]]
        for reason in failed:
            entries = ", ".join(str(entry) for entry in reason["entries"]) or "none"
            say(f"    {reason['clause']}: {reason['en']} (entries {entries})")
        if because not in {"", *(reason["clause"] for reason in failed)}:
            raise UnexpectedAnswer(f"the deny does not name {because}")
        return answer

    # The use ----------------------------------------------------------------------------------------------------------

    def _use(self) -> None:
        body = {
            "decision": self._decision,
            "resource": f"dataset:{DATASET}",
            "version": self._version,
            "quantity": {"files": len(self._inputs.redacted), "bytes": 1_048_576},
            "started": format_time(datetime.now(UTC)),
            "ended": format_time(datetime.now(UTC)),
        }
        gateway = self._callers[f"{PARTNER}/gateway-1"]
        seq = gateway.post("/api/v1/uses", body)["seq"]
        say(f"Acme's gateway reports the access made under decision {self._decision}: what, and how much.", seq)
        refused = gateway.post("/api/v1/uses", {**body, "decision": self._decision + 1}, expect=403)
        say(f"It reports a use under a deny, and is refused: {refused['detail']}.")

    def _train(self) -> None:
        trainer = self._callers[f"{PARTNER}/trainer-1"]
        seq = trainer.post("/api/v1/runs", {"id": "run-1", "decisions": [self._decision]})["seq"]
        say(f"Acme's system starts a training run under decision {self._decision}.", seq)
        end = {"outcome": "complete", "metrics": {"loss": "0.173"}}
        say("The run is complete.", trainer.post("/api/v1/runs/run-1/end", end)["seq"])
        manifest, public_key = signed_manifest(self._inputs.weights, WEIGHTS)
        body = {
            "id": WEIGHTS,
            "run": "run-1",
            "manifest": manifest,
            "public_key": public_key,
            "files": dict(self._inputs.weights),
        }
        seq = trainer.post("/api/v1/weights", body)["seq"]
        say(f"Its output is registered as weights ({self._inputs.weights_title}), never wider than the data.", seq)

    def _promote(self) -> None:
        evidence = {"metric": "recall", "value": "0.94", "dataset": self._version}
        body = {
            "id": "promo-1",
            "weights": WEIGHTS,
            "stage": "validated",
            "evidence": [evidence],
            "thresholds": [{"metric": "recall", "at_least": "0.90"}],
        }
        proposed = self._callers[f"{PARTNER}/trainer-1"].post("/api/v1/promotions", body)
        say(f"Acme proposes promotion; the gate holds; the board is {', '.join(proposed['quorum'])}.", proposed["seq"])
        votes = "/api/v1/promotions/promo-1/votes"
        ballot = {"role": "engineering", "vote": "approve"}
        refused = self._callers["k.sato"].post(votes, ballot, expect=403)
        say(f"Acme votes for it itself, and is refused: {refused['detail']}.")
        counted: dict[str, Any] = {}
        for person, roles in OFFICIALS.items():
            if roles[0] in proposed["quorum"]:
                counted = self._callers[person].post(votes, {"role": roles[0], "vote": "approve"})
                say(f"The board's {roles[0]} approves.", counted["seq"])
        self._expect(counted.get("outcome"), "promoted")
        say("The board agrees: the weights are promoted to `validated`.", counted["promoted_seq"])

    def _revoke(self) -> None:
        path = "/api/v1/grants/grant-req-1/revocation"
        seq = self._callers["i.bondar"].post(path, {"reason": "the enclave's attestation lapsed"})["seq"]
        say("Security revokes the grant, alone and at once.", seq)
        self._evaluate("Acme's system asks again", because="grant_current")

    def _expect(self, found: object, wanted: object) -> None:
        if found != wanted:
            raise UnexpectedAnswer(f"the service answered {found!r} where {wanted!r} was told")


def signed_manifest(files: Mapping[str, str], name: str) -> tuple[str, str]:
    """Sign a manifest with a key made on the spot. Returns the bundle and the public key, in PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return sign_manifest(files, key, name=name).decode(), public.decode()
