"""How applications behind a face are asked, without a server."""

from wsgiref.types import WSGIApplication
from wsgiref.validate import validator

import httpx
import werkzeug.test

from idp_verifier.bearer import TokenCookie

AUDIENCE = "https://api.example.com"
COOKIE = TokenCookie("__Host-token", "https://app.example.com")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class WSGITransport(httpx.AsyncBaseTransport):
    """Asks a WSGI application, and has wsgiref look at its manners.

    It hears of two fields of one name as servers have it: joined.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._client = werkzeug.test.Client(validator(app), use_cookies=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.headers['host']}"
        fields = [(name.decode(), value.decode("latin-1")) for name, value in request.headers.raw]
        target = request.url.raw_path.decode()
        answer = self._client.open(target, origin, method=request.method, headers=fields, buffered=True)
        return httpx.Response(answer.status_code, headers=list(answer.headers), content=answer.data)
