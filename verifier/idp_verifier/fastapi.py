"""Bearer tokens in FastAPI, in the OpenAPI document too, so that Swagger's Authorize button works.

auth = FastAPIAuth(verifier, token_url="https://id.example.com/token", scopes={"read": "Read things"})

@app.get("/me")
async def me(claims: Annotated[Claims, Depends(auth.current_user)]) -> str:
    return claims.sub

@app.delete("/things", dependencies=[Depends(auth.require_role("admin"))])
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import OAuth2

from idp_verifier.bearer import TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.resource import ProtectedResource
from idp_verifier.starlette import BearerAuth
from idp_verifier.verifier import Verifier

Dependency = Callable[..., Awaitable[Claims]]


class FastAPIAuth:
    """Dependencies that give a request's Claims, or answer 401, 403 or 503.

    `token_url` is where Swagger gets tokens; `scopes` describes those that it offers. `cookie`, `resource` and
    `base_url` are those of BearerAuth.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        token_url: str,
        scopes: Mapping[str, str] | None = None,
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
        base_url: str | None = None,
    ) -> None:
        self._bearer = BearerAuth(verifier, cookie=cookie, resource=resource, base_url=base_url)
        offered = dict(scopes or {})
        flows = OAuthFlows(
            password=OAuthFlowPassword(tokenUrl=token_url, scopes=offered),
            clientCredentials=OAuthFlowClientCredentials(tokenUrl=token_url, scopes=offered),
        )
        # It only documents: BearerAuth reads the header, with the answers of RFC 6750.
        self._scheme = OAuth2(flows=flows, scheme_name="idp", auto_error=False)
        self.current_user = self._dependency()

    def require_scope(self, *scopes: str) -> Dependency:
        """A dependency for tokens that hold all of `scopes`."""
        return self._dependency(*scopes)

    def require_role(self, role: str) -> Dependency:
        """A dependency for users with `role`. Clients that act for themselves have no roles."""
        return self._dependency(role=role)

    def _dependency(self, *scopes: str, role: str | None = None) -> Dependency:
        async def claims(request: Request, _: Annotated[str | None, Security(self._scheme, scopes=scopes)]) -> Claims:
            return await self._bearer.claims(request, *scopes, role=role)

        return claims
