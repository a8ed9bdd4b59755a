"""`GET /status/{list_id}`: a Token Status List, for everybody (draft-ietf-oauth-status-list-21 §8.1)."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import Problem, unavailable
from idp.endpoints.jwks import is_current
from idp.protocol.ports import Clock
from idp.protocol.status import LIST_TYPE, parse_list_id
from idp.status.lists import SignedLists
from keys.keyring import NoSigningKeyError


@dataclass(frozen=True, slots=True)
class StatusListEndpoint:
    """Serves the lists, whatever the settings are now: tokens from before they changed may name one."""

    lists: SignedLists
    clock: Clock

    async def handle(self, request: Request) -> Response:
        if "time" in request.query_params:  # §8.4; they would tell when each was revoked (§12.7)
            raise Problem(501, "There are no status lists of the past.")
        list_id = parse_list_id(request.path_params["list_id"])
        try:
            signed = None if list_id is None else await self.lists.get(list_id)
        except NoSigningKeyError:
            raise unavailable("No key is available.") from None
        if signed is None:
            raise Problem(404, "There is no such status list, or every token that names it has expired.")
        headers = {"Cache-Control": f"public, max-age={signed.max_age(self.clock())}", "ETag": signed.etag}
        if is_current(request.headers.get("if-none-match"), signed.etag):
            return Response(status_code=304, headers=headers)
        return Response(signed.token, headers=headers, media_type=f"application/{LIST_TYPE}")
