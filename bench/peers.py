"""Which versions of the peers took part, for whoever measures again."""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version

from bench.contestants import authlib, glewlwyd, node, tutorial
from bench.speed.verifying import PYJWT

_VERSIONS: Mapping[str, Callable[[], str]] = {
    node.NODE_1.name: node.version,
    node.NODE_2.name: node.version,
    glewlwyd.GLEWLWYD.name: glewlwyd.version,
    authlib.AUTHLIB.name: lambda: ", ".join(authlib.REQUIREMENTS),
    tutorial.TUTORIAL.name: lambda: ", ".join(tutorial.REQUIREMENTS),
    PYJWT: lambda: f"PyJWT=={version('PyJWT')}",
}


def versions(contestants: Iterable[str]) -> str:
    """Of those of them that are peers."""
    return "; ".join(dict.fromkeys(_VERSIONS[name]() for name in contestants if name in _VERSIONS))
