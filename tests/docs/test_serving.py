"""How the document and the page are served: cacheable, on their own, under the issuer."""

import gzip
import re

import httpx
import pytest

from idp import app
from idp.endpoints.openapi import openapi
from idp.parts import Parts
from tests.service import Service, settings_for

THIRD_PARTY = re.compile(r"""(?:src|href)=["'](?:https?:)?//""")


async def test_the_document_may_be_kept_for_a_while(service: Service, http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert answer.json() == openapi(service.url)
    assert answer.headers["cache-control"] == "public, max-age=300"
    again = await http.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])


async def test_the_page_trusts_nobody_else(http: httpx.AsyncClient) -> None:
    """R17."""
    page = await http.get("/docs")
    policy = {name: values for name, *values in map(str.split, page.headers["content-security-policy"].split(";"))}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=", page.text), "nothing is inline"
    assert not THIRD_PARTY.search(page.text.replace(str(http.base_url).rstrip("/"), ""))


async def test_what_the_page_loads_is_kept_for_ever(http: httpx.AsyncClient) -> None:
    for path in loaded_by((await http.get("/docs")).text):
        plain = await http.get(path, headers={"Accept-Encoding": "identity"})
        assert plain.status_code == 200
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert plain.headers["content-type"].partition(";")[0] in ("text/javascript", "text/css")
        async with http.stream("GET", path, headers={"Accept-Encoding": "br, gzip"}) as packed:
            assert packed.headers["content-encoding"] == "gzip"
            assert gzip.decompress(b"".join([part async for part in packed.aiter_raw()])) == plain.content


@pytest.mark.parametrize("name", ["nothing.js", "swagger-ui.js", "..%2Fdocs.py", "%2e%2e/app.py"])
async def test_nothing_else_is_served_beside_the_page(http: httpx.AsyncClient, name: str) -> None:
    assert (await http.get(f"/docs/{name}")).status_code == 404


async def test_an_issuer_with_a_path_has_everything_below_it() -> None:
    issuer = "https://id.example.com/tenant"
    settings = settings_for("postgresql://localhost/none", issuer=issuer)
    transport = httpx.ASGITransport(app.build(settings, Parts.of(settings)))
    async with httpx.AsyncClient(transport=transport, base_url="https://id.example.com") as http:
        page = (await http.get("/tenant/docs")).text
        for path in loaded_by(page):
            assert path.startswith("/tenant/docs/")
            assert (await http.get(path)).status_code == 200
        assert f'data-issuer="{issuer}"' in page
        document = (await http.get("/tenant/openapi.json")).json()
        assert document["servers"] == [{"url": issuer}]
        schemes = document["components"]["securitySchemes"]
        assert schemes["person"]["flows"]["password"]["tokenUrl"] == f"{issuer}/token"
        for place in ("/docs", "/openapi.json"):
            assert (await http.get(place)).status_code == 404


def loaded_by(page: str) -> list[str]:
    paths = re.findall(r'<(?:script|link rel="stylesheet")[^>]*(?:src|href)="([^"]+)"', page)
    assert len(paths) == 4
    return paths
