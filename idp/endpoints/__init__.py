"""One file for each HTTP endpoint or family of them, and what they share:

- `envelope`: what every request and answer carries (request id, headers, log line, metrics)
- `cors`: which web origins may call what
- `form`, `json_body`: requests read into values, once, strictly and bounded
- `bearer`: who holds the access token of a request to our own resources
- `answers`: how answers and refusals are written
"""
