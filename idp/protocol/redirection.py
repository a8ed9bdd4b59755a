"""Where browsers may be sent, and where they may call from."""

import ipaddress
from urllib.parse import urlsplit

_UNSAFE_SCHEMES = frozenset({"javascript", "data", "vbscript", "file", "blob", "about"})


def redirect_uri_problem(uri: str) -> str | None:
    """Why `uri` cannot be registered for redirection (RFC 6749 §3.1.2, RFC 9700 §2.6, R2), None when it can."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return f"'{uri}' is not a URI."
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or not parts.scheme or "#" in uri:
        return f"'{uri}' must be an absolute URI without fragment."
    if parts.scheme in _UNSAFE_SCHEMES:
        return f"The scheme of '{uri}' is not safe to redirect to."
    if parts.scheme in ("http", "https") and (not parts.hostname or parts.username is not None):
        return f"'{uri}' must name a host, and no user."
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        return f"'{uri}' must be https: plain http is for loopback only."
    return None


def is_origin(text: str) -> bool:
    """Whether `text` is a web origin (RFC 6454 §6.2) in the form in which browsers send it."""
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and text == f"{parts.scheme}://{_host(parts.hostname)}{port}"
    )


def _host(hostname: str | None) -> str:
    return f"[{hostname}]" if hostname and ":" in hostname else hostname or ""


def is_loopback_host(host: str | None) -> bool:
    """Whether a URL's host is the machine itself."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
