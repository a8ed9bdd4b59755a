"""The ways to a token. A grant is one file and one line in `GRANTS`.

The endpoint has read the form, authenticated the client and checked that the client may use the grant before a grant
is asked. A grant answers with an authorization, or returns (never raises, see `protocol/errors.py`) the refusal that
it reached inside a transaction. It opens that transaction itself, because client_credentials needs none and a
password must be hashed before one begins.
"""

from collections.abc import Mapping
from typing import Protocol

from idp.grants.client_credentials import ClientCredentialsGrant
from idp.grants.jwt_bearer import JwtBearerGrant
from idp.grants.password import PasswordGrant
from idp.grants.refresh_token import RefreshTokenGrant
from idp.grants.token_exchange import TokenExchangeGrant
from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.errors import OAuth2Error
from idp.protocol.ports import Ports


class Grant(Protocol):
    """What the token endpoint asks of a grant."""

    grant_type: str

    def __init__(self, ports: Ports) -> None: ...

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        """Exchanges what the client presents for an authorization."""


GRANTS: tuple[type[Grant], ...] = (
    PasswordGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
    TokenExchangeGrant,
    JwtBearerGrant,
)


def grants(ports: Ports) -> Mapping[str, Grant]:
    """The supported grants by their registered names."""
    return {grant.grant_type: grant(ports) for grant in GRANTS}
