"""B1, B2, B3, B12: tokens for clients, of our service and of others."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bench.benchmark import Benchmark, Measure, Promise, Round, at_least, at_most
from bench.contestants import Contestant, running
from bench.contestants.authlib import AUTHLIB
from bench.contestants.glewlwyd import GLEWLWYD
from bench.contestants.idp import IDP, IDP_ES256
from bench.contestants.node import NODE_1, NODE_2
from bench.ground import Ground
from bench.speed.figures import CPU, EFF, RATE, token_figures, warm_up


def race(*contestants: Contestant) -> Callable[[Ground], AbstractContextManager[Measure]]:
    """Everybody asks for tokens of each contestant in turn."""

    @contextmanager
    def contest(ground: Ground) -> Iterator[Measure]:
        with running(ground, contestants) as servers:
            for server in servers:
                warm_up(server)
            yield lambda: Round({server.name: token_figures(ground, server) for server in servers})

    return contest


def _of_idp(column: str, of: Contestant) -> Callable[[Round], float]:
    return lambda measured: measured.ratio(column, IDP.name, of.name)


def _of_better_node(column: str, better: Callable[[float, float], float]) -> Callable[[Round], float]:
    def ratio(measured: Round) -> float:
        one, two = (measured.of(node.name, column) for node in (NODE_1, NODE_2))
        return measured.of(IDP.name, column) / better(one, two)

    return ratio


B1 = Benchmark(
    "B1",
    "tokens for clients, 2 workers",
    "raw RSA-2048 signature on all cores",
    (Promise("CPU of a raw signature / CPU per token (eff)", at_least(0.80), lambda of: of.of(IDP.name, EFF)),),
    race(IDP),
)

B2 = Benchmark(
    "B2",
    "tokens for clients, beside Node",
    "node oidc-provider, the better of 1 and 2 processes",
    (
        Promise("tokens/s", at_least(1.4), _of_better_node(RATE, max)),
        Promise("CPU per token", at_most(0.75), _of_better_node(CPU, min)),
    ),
    race(IDP, NODE_1, NODE_2),
)

B3 = Benchmark(
    "B3",
    "tokens for clients, beside C and Flask",
    "glewlwyd (C, PostgreSQL); Authlib's Flask server on gunicorn",
    (
        Promise("tokens/s beside glewlwyd", at_least(6), _of_idp(RATE, GLEWLWYD)),
        Promise("tokens/s beside Authlib", at_least(1.6), _of_idp(RATE, AUTHLIB)),
    ),
    race(IDP, GLEWLWYD, AUTHLIB),
)

B12 = Benchmark(
    "B12",
    "ES256 instead of RS256",
    "our own RS256",
    (Promise("tokens/s", at_least(3), lambda of: of.ratio(RATE, IDP_ES256.name, IDP.name)),),
    race(IDP, IDP_ES256),
)
