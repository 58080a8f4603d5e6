"""What moves weights from candidate to deployed: evidence, thresholds, a board, and never the trainer."""

from typing import Literal

from ledger.events.catalogue import Event, event
from ledger.governance.promotion import Evidence, Threshold


@event("promotion.proposed", changes_state=False)
class PromotionProposed(Event, frozen=True, kw_only=True):
    """Someone proposed to move weights one stage on. Gate and quorum are fixed here."""

    id: str
    weights: str
    org: str
    stage: str
    """The stage to be reached."""
    evidence: tuple[Evidence, ...]
    thresholds: tuple[Threshold, ...]
    quorum: tuple[str, ...]
    proposed_by: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", f"weights:{self.weights}")


@event("promotion.voted", changes_state=False)
class PromotionVoted(Event, frozen=True, kw_only=True):
    """A member of the board voted, in one role."""

    promotion: str
    weights: str
    role: str
    vote: Literal["approve", "refuse"]
    note: str = ""

    def streams(self) -> tuple[str, ...]:
        return (f"weights:{self.weights}",)


@event("promotion.refused", changes_state=False)
class PromotionRefused(Event, frozen=True, kw_only=True):
    """A promotion was refused: by the gate, by a vote, or because the one who tried may not. `final` closes it."""

    promotion: str
    weights: str
    org: str
    problem: str
    final: bool

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", f"weights:{self.weights}")


@event("weights.promoted")
class WeightsPromoted(Event, frozen=True, kw_only=True):
    """The board agreed and the gate held: the weights reached a stage."""

    id: str
    org: str
    promotion: str
    stage: str

    def streams(self) -> tuple[str, ...]:
        return (f"org:{self.org}", f"weights:{self.id}")
