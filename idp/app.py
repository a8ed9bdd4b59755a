"""The composition root: the endpoints, over the parts (`parts.py`), behind what every request passes. Read both files
to see what the service consists of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from idp.clock import since_boot
from idp.directory.client_assertions import ClientAssertions
from idp.directory.client_cache import ClientCache
from idp.directory.clients import ClientDirectory
from idp.directory.families import Families
from idp.directory.issued_tokens import IssuedTokens
from idp.directory.key_sets import KeySets
from idp.directory.login import Login
from idp.directory.passwords import Passwords
from idp.directory.people import People
from idp.directory.proved_clients import ProvedClients
from idp.directory.remote_keys import key_set_fetcher
from idp.directory.subject_tokens import SubjectTokens
from idp.directory.swaps import Swaps
from idp.directory.workloads import Workloads
from idp.endpoints import answers, health
from idp.endpoints.admin_audit import AdminAuditEndpoint
from idp.endpoints.admin_clients import AdminClientsEndpoint
from idp.endpoints.admin_keys import AdminKeysEndpoint
from idp.endpoints.bearer import Bearer
from idp.endpoints.client_requests import ClientRequests
from idp.endpoints.cors import Cors
from idp.endpoints.dispatch import Dispatch, Refusals, places
from idp.endpoints.docs import DocsEndpoint
from idp.endpoints.envelope import Envelope
from idp.endpoints.introspection import IntrospectionEndpoint
from idp.endpoints.jwks import JwksEndpoint
from idp.endpoints.metadata import MetadataEndpoint, metadata, well_known_paths
from idp.endpoints.openapi import openapi
from idp.endpoints.proofs import Proofs
from idp.endpoints.resource import resource
from idp.endpoints.revocation import RevocationEndpoint
from idp.endpoints.status_list import StatusListEndpoint
from idp.endpoints.token import TokenEndpoint
from idp.endpoints.users import UsersEndpoint
from idp.grants import Grant, grants
from idp.issuer import Issuer
from idp.log import AccessLog
from idp.parts import Parts
from idp.passwords.hashing import PasswordHasher, Peppers
from idp.protocol.ports import Ports
from idp.protocol.status import DrawStatus, no_status
from idp.settings import Settings
from idp.status.lists import SignedLists
from idp.store.database import DatabaseUnavailable
from idp.store.schema import code_revision

_REFUSALS: Refusals = {
    answers.Problem: answers.on_problem,
    HTTPException: answers.on_http_exception,
    DatabaseUnavailable: answers.on_database_unavailable,
}


def build(settings: Settings, parts: Parts) -> ASGIApp:
    """Wires the service: the endpoints, over what they share, behind what every request passes."""
    shared = _shared(settings, parts)
    supported = _supported_grants(settings, parts, shared)
    routes = [
        *_client_routes(settings, parts, shared, supported),
        *_verifier_routes(settings, parts),
        *_resource_routes(settings, parts, shared),
        *DocsEndpoint(openapi(settings.issuer), settings.issuer).routes(),
    ]
    outside = _outside_routes(settings, parts, supported)
    path = urlsplit(settings.issuer).path
    mount = Mount(path, Router(routes, redirect_slashes=False))
    access_log = AccessLog(settings.log_format, settings.log_level)
    starlette = Starlette(
        routes=[*outside, mount] if path else [*routes, *outside],
        exception_handlers=_REFUSALS,
        lifespan=_lifespan(parts, access_log),
    )
    starlette.router.redirect_slashes = False  # such a redirect would be built from the Host header (R20)
    app: ASGIApp = Dispatch(starlette, {**places(routes, path), **places(outside)}, _REFUSALS)
    app = Cors(app, prefix=path, is_registered=shared.clients.is_registered_origin)
    app = Envelope(app, https=settings.issuer.startswith("https:"), observers=[parts.metrics, access_log])
    return _behind_proxies(app, settings.trusted_proxies)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What several endpoints work with; it needs neither start nor stop."""

    clients: ClientCache
    requests: ClientRequests
    workloads: Workloads
    issued: IssuedTokens
    proofs: Proofs
    bearer: Bearer
    passwords: Passwords
    families: Families
    draw_status: DrawStatus


def _shared(settings: Settings, parts: Parts) -> _Shared:
    issuer, skew = settings.issuer, settings.clock_skew
    store, clock, audit = parts.store, parts.clock, parts.audit
    clients = ClientCache(store.clients, offline=settings.offline_signing, ticker=since_boot)
    key_sets = KeySets(key_set_fetcher(settings.allow_private_jwks), since_boot)
    assertions = ClientAssertions(issuer, key_sets, store.used_ids, clock, skew)
    issued = IssuedTokens(issuer, parts.keyring, clock, store.revoked_tokens)
    proofs = Proofs(issuer, parts.nonce_secret, store.used_ids, clock, audit)
    hasher = PasswordHasher(Peppers.of(settings.password_peppers), settings.bcrypt_cost)
    draw_status = parts.indices.draw if parts.indices else no_status
    swaps = Swaps(store.refresh_families, idle_ttl=settings.refresh_policy.idle_ttl)
    return _Shared(
        clients=clients,
        requests=ClientRequests(clients, ProvedClients(clients), assertions, audit, clock),
        workloads=Workloads(issuer, store.trusted_issuers, key_sets, store.used_ids, clock, skew, audit),
        issued=issued,
        proofs=proofs,
        bearer=Bearer(issued, proofs, clients, store.users, audit),
        passwords=Passwords(
            store.users, hasher, parts.pool, min_length=settings.password_min_length, ticker=since_boot
        ),
        families=Families(store, swaps, parts.refresh_secret, settings.refresh_policy, clock, draw_status),
        draw_status=draw_status,
    )


def _supported_grants(settings: Settings, parts: Parts, shared: _Shared) -> Mapping[str, Grant]:
    login = Login(parts.store, shared.passwords, parts.audit, parts.clock)
    subject_tokens = SubjectTokens(shared.issued, parts.store, parts.audit)
    return grants(Ports(settings.issuer, parts.clock, login, shared.families, subject_tokens, shared.workloads))


_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""For endpoints that refuse all but POST themselves, in the form of RFC 6749 §5.2."""


def _client_routes(
    settings: Settings, parts: Parts, shared: _Shared, supported: Mapping[str, Grant]
) -> Sequence[BaseRoute]:
    """For clients: getting tokens, giving them back, asking what they are worth."""
    keyring, clock = parts.keyring, parts.clock
    token = TokenEndpoint(
        shared.requests,
        supported,
        shared.workloads,
        Issuer(settings.issuer, settings.access_token_ttl, clock, keyring, shared.draw_status),
        keyring.signing_key,
        shared.proofs,
        parts.audit,
        parts.metrics,
        settings.default_client_id,
    )
    revocation = RevocationEndpoint(shared.requests, shared.families, shared.issued, parts.store)
    introspection = IntrospectionEndpoint(shared.requests, shared.families, shared.issued, parts.store.users)
    return [
        Route("/token", token.handle, methods=_ALL_METHODS),
        Route("/revoke", revocation.handle, methods=_ALL_METHODS),
        Route("/introspect", introspection.handle, methods=_ALL_METHODS),
    ]


def _verifier_routes(settings: Settings, parts: Parts) -> Sequence[BaseRoute]:
    """For whoever verifies tokens: the keys, and what was revoked."""
    store, keyring, clock = parts.store, parts.keyring, parts.clock
    lists = SignedLists(settings.issuer, store.status_lists, keyring, clock, lifetime=settings.status_list_lifetime)
    return [
        Route("/.well-known/jwks.json", JwksEndpoint(keyring, parts.readers, clock).handle),
        Route("/status/{list_id}", StatusListEndpoint(lists, clock).handle),
    ]


def _resource_routes(settings: Settings, parts: Parts, shared: _Shared) -> Sequence[BaseRoute]:
    """For whoever holds an access token for us: people, and administrators."""
    store, bearer = parts.store, shared.bearer
    cached_for = settings.jwks_max_age + settings.shared_cache_ttl
    users = UsersEndpoint(bearer, People(store, shared.passwords), store.users)
    clients = AdminClientsEndpoint(bearer, ClientDirectory(store), store.clients)
    keys = AdminKeysEndpoint(bearer, parts.keyring, parts.operations, parts.readers, parts.clock, cached_for)
    return [
        resource("/users", post=users.register),
        resource("/users/me", get=users.me),
        resource("/admin/dashboard", get=users.dashboard),
        resource("/admin/users", get=users.list, post=users.add),
        resource("/admin/users/{user_id}", get=users.show, patch=users.change),
        resource("/admin/clients", get=clients.list, post=clients.add),
        resource("/admin/clients/{client_id}", get=clients.show, delete=clients.remove),
        resource("/admin/clients/{client_id}/secret", post=clients.rotate_secret),
        resource("/admin/keys", get=keys.list),
        resource("/admin/keys/rotate", post=keys.rotate),
        resource("/admin/keys/{kid}/revoke", post=keys.revoke),
        resource("/admin/audit", get=AdminAuditEndpoint(bearer, store.audit).list),
    ]


def _outside_routes(settings: Settings, parts: Parts, supported: Mapping[str, Grant]) -> Sequence[BaseRoute]:
    """What stays where it is, whatever the path of the issuer."""
    document = MetadataEndpoint(metadata(settings.issuer, supported))
    readiness = health.Readiness(parts.store, parts.keyring, parts.clock, code_revision())
    return [
        *(Route(place, document.handle) for place in well_known_paths(settings.issuer)),
        Route("/healthz", health.alive),
        Route("/readyz", readiness.handle),
        Route("/metrics", health.MetricsEndpoint(parts.metrics, parts.measure).handle),
    ]


def _lifespan(
    parts: Parts, access_log: AccessLog
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with parts.running():
            measuring = asyncio.create_task(_measure_for_ever(parts))
            try:
                yield
            finally:
                measuring.cancel()
                parts.measure()
                access_log.flush()

    return lifespan


async def _measure_for_ever(parts: Parts) -> None:
    """Keeps the metrics true in every worker, whichever of them is asked, a little at a time."""
    while True:
        parts.measure()
        await asyncio.sleep(0.1)


def _behind_proxies(app: ASGIApp, proxies: tuple[str, ...]) -> ASGIApp:
    """Believes X-Forwarded-For from the configured proxies alone (R20). The issuer never comes from a request."""
    return ProxyHeadersMiddleware(app, list(proxies)) if proxies else app  # type: ignore[arg-type,return-value]
