"""The rules in force: purposes, decision policies, security policies of labels. Adopting replaces the one before."""

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


@event("security_policy.adopted")
class SecurityPolicyAdopted(Event, frozen=True, kw_only=True):
    """The security policy (SPIF 2.1) by which labels that name it are read; its text is an attachment."""

    name: str
    spif_sha256: str
