"""What a token may be exchanged for (RFC 8693): the decisions, without a token."""

from dataclasses import replace
from typing import Any

import pytest

from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.errors import InvalidRequestError, InvalidScopeError, InvalidTargetError, TooManyActorsError
from idp.protocol.token_exchange import (
    ACCESS_TOKEN,
    MOST_ACTORS,
    TOKEN_TYPES,
    SubjectToken,
    exchanged_act,
    exchanged_audience,
    exchanged_scope,
    issued_token_type,
)

STOCK, BILLING = "https://stock.example", "https://billing.example"
ORDERS = Client(
    "orders",
    "Orders",
    "client_secret_basic",
    frozenset(),
    scopes=("read", "write", ADMIN_SCOPE),
    audiences=(STOCK, BILLING),
)
SUBJECT = SubjectToken("ada", "j", frozenset({"read", "mail", ADMIN_SCOPE}), 1900)


class TestTokenTypes:
    @pytest.mark.parametrize("subject", TOKEN_TYPES)
    @pytest.mark.parametrize("requested", TOKEN_TYPES)
    def test_what_is_wanted_is_what_is_issued(self, subject: str, requested: str) -> None:
        form = {"subject_token_type": subject}
        assert issued_token_type(form) == ACCESS_TOKEN
        assert issued_token_type(form | {"requested_token_type": requested}) == requested

    @pytest.mark.parametrize("kind", ["id_token", "refresh_token", "saml2", "ACCESS_TOKEN"])
    @pytest.mark.parametrize("name", ["subject_token_type", "requested_token_type"])
    def test_others_are_refused(self, name: str, kind: str) -> None:
        form = {"subject_token_type": ACCESS_TOKEN, name: f"urn:ietf:params:oauth:token-type:{kind}"}
        with pytest.raises(InvalidRequestError, match="Only access tokens"):
            issued_token_type(form)

    @pytest.mark.parametrize("name", ["actor_token", "actor_token_type"])
    def test_another_actor_is_refused_and_not_ignored(self, name: str) -> None:
        with pytest.raises(InvalidRequestError, match="actor_token"):
            issued_token_type({"subject_token_type": ACCESS_TOKEN, name: "x"})

    def test_the_type_of_the_subject_token_is_required(self) -> None:
        with pytest.raises(InvalidRequestError, match="subject_token_type"):
            issued_token_type({})


class TestAudience:
    @pytest.mark.parametrize(
        ("targets", "audience"),
        [((), (STOCK,)), ((BILLING,), (BILLING,)), ((BILLING, STOCK, BILLING), (BILLING, STOCK))],
    )
    def test_what_was_asked_for_each_once_or_else_the_first(
        self, targets: tuple[str, ...], audience: tuple[str, ...]
    ) -> None:
        assert exchanged_audience(targets, ORDERS) == audience

    @pytest.mark.parametrize("targets", [("https://id.example",), (STOCK, f"{STOCK}/"), ("orders",), ("",)])
    def test_nothing_that_is_not_on_the_list(self, targets: tuple[str, ...]) -> None:
        with pytest.raises(InvalidTargetError):
            exchanged_audience(targets, ORDERS)

    def test_without_a_list_there_is_nobody_to_call(self) -> None:
        with pytest.raises(InvalidTargetError):
            exchanged_audience((), replace(ORDERS, audiences=()))


class TestScope:
    @pytest.mark.parametrize("requested", [None, "read", "read read"])
    def test_it_is_what_both_the_token_and_the_client_have(self, requested: str | None) -> None:
        assert exchanged_scope(requested, SUBJECT, ORDERS) == ("read",)

    @pytest.mark.parametrize("requested", ["write", "read write", "mail", ADMIN_SCOPE, f"read {ADMIN_SCOPE}", "read  "])
    def test_more_is_refused(self, requested: str) -> None:
        with pytest.raises(InvalidScopeError):
            exchanged_scope(requested, SUBJECT, ORDERS)

    def test_it_may_be_empty(self) -> None:
        assert exchanged_scope(None, replace(SUBJECT, scope=frozenset()), ORDERS) == ()


class TestActors:
    def test_the_client_stands_on_top_of_those_before_it(self) -> None:
        before = {"sub": "web", "iss": "https://id.example"}
        assert exchanged_act(SUBJECT, ORDERS) == {"sub": "orders"}
        assert exchanged_act(replace(SUBJECT, act=before), ORDERS) == {"sub": "orders", "act": before}

    def test_who_may_impersonate_is_not_named_and_hides_nobody(self) -> None:
        client = replace(ORDERS, may_impersonate=True)
        assert exchanged_act(SUBJECT, client) is None
        assert exchanged_act(replace(SUBJECT, act={"sub": "web"}), client) == {"sub": "web"}

    def test_there_is_an_end_to_it(self) -> None:
        act: dict[str, Any] | None = None
        for number in range(MOST_ACTORS - 1):
            act = {"sub": f"api{number}"} | ({"act": act} if act else {})
        last = exchanged_act(replace(SUBJECT, act=act), ORDERS)
        with pytest.raises(TooManyActorsError):
            exchanged_act(replace(SUBJECT, act=last), ORDERS)
