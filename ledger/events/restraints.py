"""Restraints: pauses that officials place, and incidents that block, until they are lifted or closed."""

from typing import Literal

from ledger.events.catalogue import Event, event

PauseScope = Literal["everything", "organisation", "resource", "agreement", "grant", "purpose", "environment"]
IncidentScope = Literal["organisation", "resource"]


@event("pause.placed")
class PausePlaced(Event, frozen=True, kw_only=True):
    """An official stopped uses, alone and at once. Who has to agree to lift it is fixed here."""

    id: str
    scope: PauseScope
    concerns: tuple[str, ...]
    """Streams of whom it stops by name: the organisation, resource or agreement."""
    quorum: tuple[str, ...]
    reason: str
    target: str = ""
    """What is paused, with all below or derived from it: an id, a resource's name or version, a kind of environment."""

    def streams(self) -> tuple[str, ...]:
        return self.concerns


@event("pause.lift_voted", changes_state=False)
class PauseLiftVoted(Event, frozen=True, kw_only=True):
    """An official agreed to lift a pause, in one role. Not to agree needs no vote: the pause stays."""

    pause: str
    concerns: tuple[str, ...]
    role: str
    note: str = ""

    def streams(self) -> tuple[str, ...]:
        return self.concerns


@event("pause.lifted")
class PauseLifted(Event, frozen=True, kw_only=True):
    """Everyone whom it takes agreed: the pause is over."""

    id: str
    concerns: tuple[str, ...]

    def streams(self) -> tuple[str, ...]:
        return self.concerns


@event("incident.reported", changes_state=False, sealable=("account",))
class IncidentReported(Event, frozen=True, kw_only=True):
    """Someone reported an incident. By itself it stops nothing: an official looks first."""

    id: str
    scope: IncidentScope
    target: str
    concerns: tuple[str, ...]
    reported_by: str

    def streams(self) -> tuple[str, ...]:
        return self.concerns


@event("incident.made_blocking")
class IncidentMadeBlocking(Event, frozen=True, kw_only=True):
    """An official found that uses must stop until the incident is closed."""

    id: str
    scope: IncidentScope
    target: str
    concerns: tuple[str, ...]
    reason: str

    def streams(self) -> tuple[str, ...]:
        return self.concerns


@event("incident.closed")
class IncidentClosed(Event, frozen=True, kw_only=True):
    """The incident is over, and stops nothing any more."""

    id: str
    concerns: tuple[str, ...]
    reason: str

    def streams(self) -> tuple[str, ...]:
        return self.concerns
