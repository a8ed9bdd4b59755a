"""The service answers what the document says, and nothing else: schemathesis calls every operation with requests that
the document allows and with requests that it does not, as an administrator and as nobody.
"""

import copy
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case

from idp.endpoints.openapi import openapi
from tests.service import Service

BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def without_surprises(document: dict[str, Any]) -> dict[str, Any]:
    """The document, but an answer with a member that it does not name counts as wrong too."""
    strict = copy.deepcopy(document)
    for name, schema in strict["components"]["schemas"].items():
        if "properties" in schema and name != "TokenRequest":
            schema["additionalProperties"] = False
    return strict


schema = schemathesis.openapi.from_dict(without_surprises(openapi("http://localhost")))
# No schema says that a password is easy to guess, or that no header names the client of a form: what it allows may
# still be refused, by a 422 that says why, or as OAuth does it (RFC 6749 §5.2), by a 400.
schema.config.checks.positive_data_acceptance.expected_statuses += ["422", "400"]


@schema.parametrize()
@BOUNDED
def test_an_administrator_gets_documented_answers(
    case: Case[Any], service: Service, administrator: dict[str, str]
) -> None:
    case.call_and_validate(base_url=service.url, headers=administrator)


@schema.parametrize()
@BOUNDED
def test_a_stranger_gets_documented_answers(case: Case[Any], service: Service) -> None:
    case.call_and_validate(base_url=service.url)
