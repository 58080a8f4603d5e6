"""What an AuthZEN client finds out by itself: the decision point's metadata (AuthZEN 1.0 §9).

    GET /.well-known/authzen-configuration
    {"policy_decision_point": "https://oblik.mod.example",
     "access_evaluation_endpoint": "https://oblik.mod.example/access/v1/evaluation", …}

`capabilities` names URNs that are registered, of which there are none yet, and `signed_metadata` is optional: both are
left out. It takes no token, since it says nothing about anyone.
"""

from fastapi import APIRouter

from ledger.api import authzen, search
from ledger.api.acting import ServiceOf
from ledger.api.openapi import METADATA

PATH = "/.well-known/authzen-configuration"

ENDPOINTS = {
    "access_evaluation_endpoint": authzen.PATH,
    "access_evaluations_endpoint": authzen.BATCH_PATH,
    "search_subject_endpoint": f"{search.PATH}/subject",
    "search_resource_endpoint": f"{search.PATH}/resource",
    "search_action_endpoint": f"{search.PATH}/action",
}
"""Each endpoint's name in the metadata, and its path."""

router = APIRouter()


@router.get(PATH, tags=["decisions"], responses=METADATA)
async def read_metadata(service: ServiceOf) -> dict[str, str]:
    """Tell where the decision point answers. The address is the one that the operator has set."""
    return {
        "policy_decision_point": service.url,
        **{name: service.url + path for name, path in ENDPOINTS.items()},
    }
