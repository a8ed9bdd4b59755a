"""The composition root: the only file that knows every part. Read it to see what the service consists of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from idp.audit import AuditQueue
from idp.clock import DatabaseClock, since_boot
from idp.directory.client_assertions import ClientAssertions
from idp.directory.client_cache import ClientCache
from idp.directory.clients import ClientDirectory
from idp.directory.families import Families
from idp.directory.issued_tokens import IssuedTokens
from idp.directory.key_sets import KeySets
from idp.directory.login import Login
from idp.directory.passwords import Passwords
from idp.directory.people import People
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
from idp.grants import grants
from idp.housekeeping import Housekeeping
from idp.issuer import Issuer
from idp.log import AccessLog
from idp.metrics import Metrics
from idp.passwords.hashing import PasswordHasher, Peppers
from idp.passwords.pool import HashPool
from idp.protocol.ports import Ports
from idp.protocol.status import no_status
from idp.settings import Settings
from idp.signing.keeper import KeyKeeper
from idp.signing.operations import KeyOperations
from idp.signing.readers import JwksReaders
from idp.signing.server_secrets import NonceSecret, RefreshTokenSecret
from idp.status.indices import StatusIndices
from idp.status.lists import SignedLists
from idp.store import Store
from idp.store.database import Database, DatabaseUnavailable
from idp.store.schema import code_revision
from keys.keyring import Bounds, Keyring
from keys.sealing import Sealer
from keys.signer import SignerThread


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that live as long as the service does."""

    database: Database
    store: Store
    clock: DatabaseClock
    signer: SignerThread
    keyring: Keyring
    operations: KeyOperations
    readers: JwksReaders
    keeper: KeyKeeper
    refresh_secret: RefreshTokenSecret
    nonce_secret: NonceSecret
    indices: StatusIndices | None
    housekeeping: Housekeeping
    pool: HashPool
    audit: AuditQueue
    metrics: Metrics

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the parts, and stops them in the reverse order: the last audit event is written before the
        database goes."""
        async with contextlib.AsyncExitStack() as stack:
            await self.database.connect()
            stack.push_async_callback(self.database.disconnect)
            self.signer.start()
            stack.push_async_callback(self.signer.stop)
            await self.keeper.start()
            stack.push_async_callback(self.keeper.stop)
            await self.refresh_secret.start()
            await self.nonce_secret.start()
            if self.indices:
                await self.indices.start()
                stack.push_async_callback(self.indices.stop)
            await self.housekeeping.start()
            stack.push_async_callback(self.housekeeping.stop)
            await self.audit.start()
            stack.push_async_callback(self.audit.stop)
            stack.push_async_callback(self.pool.close)
            yield

    def measure(self) -> None:
        self.metrics.depths(hashes=self.pool.queued + self.pool.running, audit=len(self.audit))


def parts(settings: Settings, *, workers: int = 1) -> Parts:
    """Makes the parts of one of `workers` processes, which share the instance's bound on password hashes."""
    database = Database(settings.database_url)
    store = Store(database)
    clock = DatabaseClock(skew=settings.clock_skew)
    signer = SignerThread()
    sealer = Sealer(settings.key_encryption_keys)
    keyring = Keyring(sealer, signer, _bounds(settings))
    operations = KeyOperations(store, sealer, settings.key_settings)
    readers = JwksReaders(store, clock)
    keeper = KeyKeeper(store, keyring, clock, operations, readers)
    pool = HashPool(max(1, settings.hash_concurrency // workers))
    audit = AuditQueue(store.audit)
    return Parts(
        database=database,
        store=store,
        clock=clock,
        signer=signer,
        keyring=keyring,
        operations=operations,
        readers=readers,
        keeper=keeper,
        refresh_secret=RefreshTokenSecret(store, sealer),
        nonce_secret=NonceSecret(store, sealer),
        indices=_indices(settings, store, clock),
        housekeeping=Housekeeping(store),
        pool=pool,
        audit=audit,
        metrics=Metrics(),
    )


def _indices(settings: Settings, store: Store, clock: DatabaseClock) -> StatusIndices | None:
    if not settings.status_list:
        return None
    return StatusIndices(store.status_lists, clock, ttl=settings.access_token_ttl, offline=settings.offline_signing)


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        skew=settings.clock_skew,
        offline=settings.offline_signing,
        publish_ahead=settings.key_publish_ahead,
        max_age=settings.jwks_max_age,
    )


def build(settings: Settings, parts: Parts) -> ASGIApp:
    """Wires the service."""
    hasher = PasswordHasher(Peppers.of(settings.password_peppers), settings.bcrypt_cost)
    store, keyring, clock = parts.store, parts.keyring, parts.clock
    clients = ClientCache(store.clients, offline=settings.offline_signing, ticker=since_boot)
    passwords = Passwords(store.users, hasher, parts.pool, min_length=settings.password_min_length, ticker=since_boot)
    login = Login(store, passwords, parts.audit, clock)
    people = People(store, passwords)
    issued = IssuedTokens(settings.issuer, keyring, clock, store.revoked_tokens)
    proofs = Proofs(settings.issuer, parts.nonce_secret, store.used_ids, clock, parts.audit)
    bearer = Bearer(issued, proofs, clients, store.users, parts.audit)
    key_sets = KeySets(key_set_fetcher(settings.allow_private_jwks), since_boot)
    assertions = ClientAssertions(settings.issuer, key_sets, store.used_ids, clock, settings.clock_skew)
    workloads = Workloads(
        settings.issuer, store.trusted_issuers, key_sets, store.used_ids, clock, settings.clock_skew, parts.audit
    )
    requests = ClientRequests(clients, assertions, parts.audit, clock)
    draw_status = parts.indices.draw if parts.indices else no_status
    swaps = Swaps(store.refresh_families, idle_ttl=settings.refresh_policy.idle_ttl)
    families = Families(store, swaps, parts.refresh_secret, settings.refresh_policy, clock, draw_status)
    subject_tokens = SubjectTokens(issued, store, parts.audit)
    supported = grants(Ports(settings.issuer, clock, login, families, subject_tokens, workloads))
    token = TokenEndpoint(
        requests,
        supported,
        workloads,
        Issuer(settings.issuer, settings.access_token_ttl, clock, keyring, draw_status),
        lambda: keyring.signing_key(clock()),
        proofs,
        parts.audit,
        parts.metrics,
        settings.default_client_id,
    )
    revocation = RevocationEndpoint(requests, families, issued, store)
    introspection = IntrospectionEndpoint(requests, families, issued, store.users)
    users = UsersEndpoint(bearer, people, store.users)
    admin_clients = AdminClientsEndpoint(bearer, ClientDirectory(store), store.clients)
    cached_for = settings.jwks_max_age + settings.shared_cache_ttl
    admin_keys = AdminKeysEndpoint(bearer, keyring, parts.operations, parts.readers, clock, cached_for)
    document = MetadataEndpoint(metadata(settings.issuer, supported))
    docs = DocsEndpoint(openapi(settings.issuer), settings.issuer)
    lists = SignedLists(settings.issuer, store.status_lists, keyring, clock, lifetime=settings.status_list_lifetime)
    path = urlsplit(settings.issuer).path

    routes: list[BaseRoute] = [
        Route("/token", token.handle, methods=_ALL_METHODS),
        Route("/revoke", revocation.handle, methods=_ALL_METHODS),
        Route("/introspect", introspection.handle, methods=_ALL_METHODS),
        Route("/.well-known/jwks.json", JwksEndpoint(keyring, parts.readers, clock).handle),
        Route("/status/{list_id}", StatusListEndpoint(lists, clock).handle),
        resource("/users", post=users.register),
        resource("/users/me", get=users.me),
        resource("/admin/dashboard", get=users.dashboard),
        resource("/admin/users", get=users.list, post=users.add),
        resource("/admin/users/{user_id}", get=users.show, patch=users.change),
        resource("/admin/clients", get=admin_clients.list, post=admin_clients.add),
        resource("/admin/clients/{client_id}", get=admin_clients.show, delete=admin_clients.remove),
        resource("/admin/clients/{client_id}/secret", post=admin_clients.rotate_secret),
        resource("/admin/keys", get=admin_keys.list),
        resource("/admin/keys/rotate", post=admin_keys.rotate),
        resource("/admin/keys/{kid}/revoke", post=admin_keys.revoke),
        resource("/admin/audit", get=AdminAuditEndpoint(bearer, store.audit).list),
        *docs.routes(),
    ]
    outside: list[BaseRoute] = [  # what stays where it is, whatever the path of the issuer
        *(Route(place, document.handle) for place in well_known_paths(settings.issuer)),
        Route("/healthz", health.alive),
        Route("/readyz", health.Readiness(store, keyring, clock, code_revision()).handle),
        Route("/metrics", health.MetricsEndpoint(parts.metrics, parts.measure).handle),
    ]
    mount = Mount(path, Router(routes, redirect_slashes=False))
    access_log = AccessLog(settings.log_format, settings.log_level)
    starlette = Starlette(
        routes=[*outside, mount] if path else [*routes, *outside],  # they are tried in turn: tokens and keys first
        exception_handlers={
            answers.Problem: answers.on_problem,
            HTTPException: answers.on_http_exception,
            DatabaseUnavailable: answers.on_database_unavailable,
        },
        lifespan=_lifespan(parts, access_log),
    )
    starlette.router.redirect_slashes = False  # such a redirect would be built from the Host header (R20)
    app: ASGIApp = Cors(starlette, prefix=path, is_registered=clients.is_registered_origin)
    app = Envelope(app, https=settings.issuer.startswith("https:"), observers=[parts.metrics, access_log])
    return _behind_proxies(app, settings.trusted_proxies)


_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""For endpoints that refuse all but POST themselves, in the form of RFC 6749 §5.2."""


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
