"""The log's own keys: one comes into force, one goes out of it. What they sign is checkpoints (`ledger.log`)."""

from ledger.events.catalogue import Event, event


@event("log_key.introduced", changes_state=False)
class LogKeyIntroduced(Event, frozen=True, kw_only=True):
    """A key came into force: from the next entry on it signs checkpoints, beside the others."""

    vkey: str
    """Verifier key (C2SP signed-note)."""
    proof: str
    """Signature lines of a key of the same type that was in force (`ledger.log.introduction`)."""


@event("log_key.retired", changes_state=False)
class LogKeyRetired(Event, frozen=True, kw_only=True):
    """A key went out of force, for ever. Checkpoints that it signed before stay what they were."""

    vkey: str
    reason: str
