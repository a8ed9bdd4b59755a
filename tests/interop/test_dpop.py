"""A DPoP client of others (oauth4webapi) with our token endpoint and our resources."""

import asyncio
import json
import subprocess
from pathlib import Path

from idp.cli.directories import Directories
from idp_verifier.jwk import SUPPORTED_ALGORITHMS
from tests import builders
from tests.builders import PASSWORD
from tests.interop.test_verifiers import HERE, node
from tests.refresh.sessions import GRANTS
from tests.service import Service


async def test_oauth4webapi(directory: Directories, service: Service) -> None:
    client = await builders.client(directory, **GRANTS, token_endpoint_auth_method="none")
    user = await builders.user(directory)
    program: list[str | Path] = [await asyncio.to_thread(node), HERE / "dpop.mjs"]
    command = [*program, service.url, client.client.client_id, user.email, PASSWORD]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "algs": list(SUPPORTED_ALGORITHMS),
        "token_types": ["dpop", "dpop"],  # it lowers them: RFC 6749 §5.1
        "person": str(user.id),
        "wanted_nonces": 1,
        "thief": {"refresh": "invalid_grant", "use": "invalid_dpop_proof", "bearer": "invalid_token"},
        "owner_goes_on": "dpop",
    }
