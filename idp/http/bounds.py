"""What a client may have of us: a slow or endless one holds neither memory nor a connection for long (CWE-400)."""

MAX_HEAD = 32 * 1024
"""Bytes of request line and headers. Our longest is a token of at most 16 KiB."""
MAX_REQUEST = 1024 * 1024
"""Bytes of a whole request. No endpoint reads half as much; the rest is what is still on its way after a 413."""
REQUEST_SECONDS = 10.0
"""Seconds for the first request to begin, and for each to come in whole."""
MAX_PIPELINED = 16
"""Requests that wait for the answer to an earlier one. The connection ends with the answer to the last of them."""
ANSWER_SECONDS = 10.0
"""Seconds in which a client that is behind with its answers takes at least `ANSWER_BYTES` of them."""
ANSWER_BYTES = 16 * 1024
