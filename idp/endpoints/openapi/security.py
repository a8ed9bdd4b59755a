"""How callers prove who they are: the security schemes, and which operation takes which."""

from idp.endpoints.openapi.builders import Json
from idp.protocol.client import ADMIN_SCOPE

_SCOPES = {ADMIN_SCOPE: "The admin API. Only for clients registered for it; a person must be an administrator too."}


def security_schemes(issuer: str) -> Json:
    token_url = f"{issuer}/token"
    return {
        "person": {
            "type": "oauth2",
            "description": "A person signs in with a password. Leave the client empty for the default client, if the "
            "operator has set one; for another public client send its id in the request body.",
            "flows": {"password": {"tokenUrl": token_url, "scopes": _SCOPES}},
        },
        "machine": {
            "type": "oauth2",
            "description": "A confidential client acts for itself.",
            "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": _SCOPES}},
        },
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token that you already have (RFC 9068, RFC 6750).",
        },
        "boundToken": {
            "type": "http",
            "scheme": "DPoP",
            "description": "An access token that is bound to a key, with a proof of it in the header `DPoP` "
            "(RFC 9449 §7).",
        },
        "client": {
            "type": "http",
            "scheme": "basic",
            "description": "A client's id and secret, at the token endpoint only (`client_secret_basic`, RFC 6749 "
            "§2.3.1).",
        },
    }


PERSON: list[Json] = [{"person": []}, {"token": []}, {"boundToken": []}]
"""By an access token of a person."""
ADMINISTRATOR: list[Json] = [{"person": [ADMIN_SCOPE]}, {"machine": [ADMIN_SCOPE]}, {"token": []}, {"boundToken": []}]
"""By an access token for the admin API."""
REGISTRAR: list[Json] = [{"person": []}, *ADMINISTRATOR]
"""By an administrator, in person or by the admin API."""
CLIENT: list[Json] = [{"client": []}, {}]
"""By client authentication, in the header or in the form."""
