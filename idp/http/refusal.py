"""What a connection answers by itself: like every other answer, with a request id, but the last."""

from collections.abc import Sequence

from idp.endpoints.envelope import problem_body, safe_headers
from idp.http import bounds
from idp.http.head import LAST, Header, rendered

_DETAILS = {
    400: "This is not HTTP as this server understands it.",
    408: f"The request was not complete within {bounds.REQUEST_SECONDS:.0f} seconds.",
    413: f"A request has at most {bounds.MAX_REQUEST} bytes.",
    431: f"The request line and the headers have at most {bounds.MAX_HEAD} bytes.",
    500: "The service failed; its operator finds the cause in the log.",
}


def refusal(status: int, request_id: str, defaults: Sequence[Header]) -> bytes:
    """The whole answer. `defaults` are the headers that the server adds to each."""
    body = problem_body(status, _DETAILS[status], request_id)
    headers = [
        *defaults,
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        *safe_headers(request_id),
    ]
    lines, _, _ = rendered(status, headers)
    return b"".join([*lines, b"content-length: %d\r\n" % len(body), LAST, b"\r\n", body])
