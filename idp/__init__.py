"""idp: a standalone identity provider that issues JWTs which verify offline."""
