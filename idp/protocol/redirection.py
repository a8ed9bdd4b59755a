"""Where browsers may be sent, and where they may call from."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def uri_parts(text: str) -> SplitResult | None:
    """The parts of an absolute URI (RFC 3986 §4.3: with a scheme, without a fragment); None when it is none.

    What is outside the characters of §2, a space and a backslash above all, browsers read in ways of their own.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    well_formed = _URI.fullmatch(text) and "#" not in text and parts.scheme and (parts.netloc or parts.path)
    return parts if well_formed else None


def redirect_uri_problem(uri: str) -> str | None:
    """Why `uri` cannot be registered for redirection (RFC 6749 §3.1.2, RFC 9700 §2.6, R2), None when it can."""
    parts = uri_parts(uri)
    if parts is None:
        return f"{uri!a} must be an absolute URI without fragment."
    if parts.scheme not in _DEFAULT_PORTS:
        # A private-use scheme is a domain name in reverse (RFC 8252 §7.1): so `javascript` and its like are none.
        return None if "." in parts.scheme else f"The scheme of {uri!a} must be https, or hold a dot (RFC 8252 §7.1)."
    if not parts.hostname or "@" in parts.netloc:
        return f"{uri!a} must name a host, and no user."
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        return f"{uri!a} must be https: plain http is for loopback only."
    return None


def is_origin(text: str) -> bool:
    """Whether `text` is a web origin (RFC 6454 §6.2) in the form in which browsers send it."""
    parts = uri_parts(text)
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return False
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    named = ":" in parts.hostname or _HOST_NAME.fullmatch(parts.hostname)
    return bool(named) and text == f"{parts.scheme}://{host}{port}"


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
