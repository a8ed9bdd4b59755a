"""OAuth2 with a password and a bearer JWT, in the well-known shape: an `async def` that hashes where it stands."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import bcrypt
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import OAuth2PasswordRequestForm

_KEY = generate_private_key(public_exponent=65537, key_size=2048)
_PEOPLE = {"alice": bcrypt.hashpw(b"correct horse battery staple", bcrypt.gensalt(12))}

app = FastAPI()


@app.post("/token")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    password_hash = _PEOPLE.get(form.username)
    if password_hash is None or not bcrypt.checkpw(form.password.encode(), password_hash):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "Incorrect username or password")
    expires_at = datetime.now(UTC) + timedelta(minutes=15)
    token = jwt.encode({"sub": form.username, "exp": expires_at}, _KEY, algorithm="RS256")
    return {"access_token": token, "token_type": "bearer"}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
