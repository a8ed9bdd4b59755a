"""Authlib's authorization server in Flask: JWT access tokens for clients that are in a database, through SQLAlchemy.

Issued tokens are not stored: a JWT can do without, and the peer is the faster for it.
"""

import os

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import OAuth2ClientMixin, create_query_client_func
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker


class Base(DeclarativeBase):
    pass


class Client(OAuth2ClientMixin, Base):
    __tablename__ = "oauth2_client"
    id: Mapped[int] = mapped_column(primary_key=True)


class Generator(JWTBearerTokenGenerator):
    def __init__(self) -> None:
        super().__init__("http://localhost", alg="RS256")
        self._keys = KeySet([RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})])

    def get_jwks(self):
        return self._keys


_url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
_engine = create_engine(_url, pool_size=10)
_session = scoped_session(sessionmaker(_engine))
Base.metadata.create_all(_engine)
_client = Client(client_id=os.environ["CLIENT_ID"], client_secret=os.environ["CLIENT_SECRET"])
_client.set_client_metadata({"grant_types": ["client_credentials"], "scope": "read"})
_session.add(_client)
_session.commit()
_session.remove()
_engine.dispose()  # gunicorn forks now


def save_nothing(_token, _request):
    pass


app = Flask(__name__)
_server = AuthorizationServer(app, create_query_client_func(_session, Client), save_nothing)
_server.register_grant(ClientCredentialsGrant)
_server.register_token_generator("default", Generator())


@app.post("/oauth/token")
def issue_token():
    return _server.create_token_response()


@app.get("/health")
def health():
    return {"status": "ok"}


@app.teardown_appcontext
def _end_session(_):
    _session.remove()
