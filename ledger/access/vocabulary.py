"""The closed lists that requests and clauses share."""

ACTIONS = ("train", "tune", "evaluate", "check_interoperability", "improve", "infer", "read_metadata")
TRAINING = frozenset({"train", "tune", "improve"})
"""Activities that change weights: an allow for one of them is what a run starts under."""
TIERS = ("metadata", "aggregate", "synthetic", "derived", "redacted", "raw")
"""How much is seen, from least to most."""
ENVIRONMENTS = ("enclave", "federated", "partner_hosted", "edge")
SUBJECT_TYPES = ("organisation", "system")
RESOURCE_TYPES = ("dataset", "weights")

_RANK = {tier: rank for rank, tier in enumerate(TIERS)}


def tier_within(asked: str, ceiling: str) -> bool:
    """Tell whether a tier shows no more than another. One that is not known is within nothing."""
    return asked in _RANK and ceiling in _RANK and _RANK[asked] <= _RANK[ceiling]
