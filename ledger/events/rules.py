"""The rules in force: purposes, decision policies, security policies of labels. Adopting replaces the one before."""

from typing import Literal

from ledger.events.catalogue import Event, event
from ledger.governance.purposes import Node


@event("purposes.adopted")
class PurposesAdopted(Event, frozen=True, kw_only=True):
    """The purpose tree in force from here on, whole."""

    nodes: tuple[Node, ...]


@event("policy.adopted")
class PolicyAdopted(Event, frozen=True, kw_only=True):
    """The decision policy in force from here on; both texts are attachments, so that replay needs the ledger alone."""

    name: str
    digest: str
    """As `ledger.access.policy.load_policy` computes it over both texts."""
    model_sha256: str
    rows_sha256: str


@event("policy.proposed", changes_state=False)
class PolicyProposed(Event, frozen=True, kw_only=True):
    """Someone proposed a decision policy in place of the one in force. The quorum that will decide is fixed here.

    Both texts and the document of the dry-run are attachments. `policy.adopted` follows the vote that completes it.
    """

    id: str
    name: str
    digest: str
    """As `ledger.access.policy.load_policy` computes it over both texts."""
    model_sha256: str
    rows_sha256: str
    dry_run_sha256: str
    """The dry-run's digest (`ledger.services.dry_run`)."""
    replaces: str
    """Digest of the policy that was in force."""
    quorum: tuple[str, ...]
    proposed_by: str


@event("policy.voted", changes_state=False)
class PolicyVoted(Event, frozen=True, kw_only=True):
    """One official voted on a proposed policy, in one role."""

    proposal: str
    role: str
    vote: Literal["approve", "refuse"]
    note: str = ""


@event("policy.refused", changes_state=False)
class PolicyRefused(Event, frozen=True, kw_only=True):
    """A vote refused the proposed policy; it is closed."""

    proposal: str


@event("policy.mounted")
class PolicyMounted(Event, frozen=True, kw_only=True):
    """A policy of its own decides on these types of resources from here on; its four texts are attachments."""

    name: str
    digest: str
    """As `ledger.access.mount.load_mounted` computes it over all four texts."""
    resource_types: tuple[str, ...]
    model_sha256: str
    rows_sha256: str
    mount_sha256: str
    facts_sha256: str


@event("security_policy.adopted")
class SecurityPolicyAdopted(Event, frozen=True, kw_only=True):
    """The security policy (SPIF 2.1) by which labels that name it are read; its text is an attachment."""

    name: str
    spif_sha256: str
