"""The OpenAPI document."""

from typing import Any


def openapi(issuer: str) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "idp", "version": "1"},
        "servers": [{"url": issuer}],
        "paths": {},
    }
