"""`/admin/clients`: registering clients, changing their secrets, removing them."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.clients import (
    ClientDirectory,
    InvalidClientMetadata,
    NoSuchClient,
    default_grant_types,
    new_secret,
)
from idp.endpoints.answers import Problem, json_answer
from idp.endpoints.bearer import Bearer
from idp.endpoints.json_body import Members, flag, json_object, read_members, text, texts
from idp.endpoints.paging import page_of, plain_text
from idp.protocol.client import Client
from idp.store.clients import ClientIdTaken, Clients


def client_record(client: Client) -> dict[str, Any]:
    """A client's metadata, under the names of RFC 7591 §2 where it has them. No secret."""
    return {
        "client_id": client.client_id,
        "client_name": client.name,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": sorted(client.grant_types),
        "scope": " ".join(client.scopes),
        "audiences": list(client.audiences),
        "redirect_uris": list(client.redirect_uris),
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "origins": list(client.origins),
        "introspect": client.may_introspect,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "dpop_bound_access_tokens": client.dpop_bound_access_tokens,
        "impersonate": client.may_impersonate,
        "resource_ids": list(client.resource_ids),
    }


@dataclass(frozen=True, slots=True)
class AdminClientsEndpoint:
    """Clients, for administrators."""

    bearer: Bearer
    directory: ClientDirectory
    clients: Clients

    async def list(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        page = page_of(request, plain_text)
        found = await self.clients.page(after=page.after, limit=page.limit + 1)
        return json_answer(page.body("clients", found, client_record, lambda client: client.client_id))

    async def add(self, request: Request) -> Response:
        """Registers a client; one that uses a secret gets it in this answer, and never again."""
        actor = await self.bearer.administrator(request)
        client = _client(await read_members(request))
        secret = new_secret() if client.uses_secret else None
        try:
            await self.directory.add(client, secret, actor)
        except InvalidClientMetadata as error:
            raise Problem(422, str(error)) from None
        except ClientIdTaken as error:
            raise Problem(409, str(error), errors={"client_id": "is taken"}) from None
        return json_answer({**client_record(client), **({"client_secret": secret} if secret else {})}, 201)

    async def show(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        client = await self.clients.find(_named(request))
        if client is None:
            raise _no_such_client()
        return json_answer(client_record(client))

    async def remove(self, request: Request) -> Response:
        actor = await self.bearer.administrator(request)
        try:
            await self.directory.remove(_named(request), actor)
        except NoSuchClient:
            raise _no_such_client() from None
        return Response(status_code=204)

    async def rotate_secret(self, request: Request) -> Response:
        """Makes a new secret; the one before works for a while beside it."""
        actor = await self.bearer.administrator(request)
        secret = new_secret()
        try:
            await self.directory.rotate_secret(_named(request), secret, actor)
        except NoSuchClient:
            raise _no_such_client() from None
        except InvalidClientMetadata as error:
            raise Problem(422, str(error)) from None
        return json_answer({"client_id": _named(request), "client_secret": secret})


def _named(request: Request) -> str:
    """The client_id in the path; PostgreSQL cannot even be asked for one with a NUL. Raises a Problem: 404."""
    client_id: str = request.path_params["client_id"]
    if "\0" in client_id:
        raise _no_such_client()
    return client_id


def _no_such_client() -> Problem:
    return Problem(404, "There is no such client.")


def _client(members: Members) -> Client:
    client_id = members.demand("client_id", text)
    method = members.take("token_endpoint_auth_method", text, "client_secret_basic")
    grants = members.take("grant_types", texts, ()) or default_grant_types(public=method == "none")
    client = Client(
        client_id=client_id,
        name=members.take("client_name", text, client_id),
        token_endpoint_auth_method=method,
        grant_types=frozenset(grants),
        scopes=tuple(dict.fromkeys(members.take("scope", text, "").split())),
        audiences=members.take("audiences", texts, ()),
        redirect_uris=members.take("redirect_uris", texts, ()),
        post_logout_redirect_uris=members.take("post_logout_redirect_uris", texts, ()),
        origins=members.take("origins", texts, ()),
        may_introspect=members.take("introspect", flag, False),
        jwks=members.take("jwks", json_object, None),
        jwks_uri=members.take("jwks_uri", text, None),
        dpop_bound_access_tokens=members.take("dpop_bound_access_tokens", flag, False),
        may_impersonate=members.take("impersonate", flag, False),
        resource_ids=members.take("resource_ids", texts, ()),
    )
    members.finish()
    return client
