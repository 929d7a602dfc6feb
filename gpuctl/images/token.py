"""How a registry wants to be asked: with a user and password, or with a token that another server gives out.

https://distribution.github.io/distribution/spec/auth/token/, and .../oauth/ for identity tokens.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlencode

from gpuctl.host.decode import text_in
from gpuctl.images.config import Unreadable
from gpuctl.images.credentials import Credentials
from gpuctl.images.documents import json_object
from gpuctl.images.exchange import Exchange, HttpAnswer

TOKEN_LIMIT = 1 << 20
CLIENT = "gpuctl"
_CHALLENGE_LIMIT = 4096
_PIECE = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))|([\w-]+)(?=[\s,]|$)')
_TOKEN = re.compile(r"[!-~]+")


class TokenRefused(Exception):
    """The registry cannot be opened with what there is. The message is the reason, a part of a sentence."""


def authorization(challenge: str, repository: str, credentials: Credentials | None, exchange: Exchange) -> str:
    """Returns the Authorization header that a registry's WWW-Authenticate asks for. Raises Refused, Unreadable."""
    asked = _challenges(challenge)
    if "bearer" in asked:
        return f"Bearer {_token(asked['bearer'], repository, credentials, exchange)}"
    if "basic" not in asked:
        raise Unreadable("The registry wants a way of logging in that gpuctl does not know.")
    if credentials is None:
        raise TokenRefused("it wants a login")
    if credentials.identity_token:
        raise TokenRefused("it wants a password, and Docker's config has a token")
    return _basic(credentials)


def _challenges(header: str) -> dict[str, dict[str, str]]:
    """Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull" """
    found: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for name, quoted, bare, scheme in _PIECE.findall(header[:_CHALLENGE_LIMIT]):
        if scheme:
            parameters = found.setdefault(scheme.lower(), {})
        else:
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or bare
    return found


def _token(asked: Mapping[str, str], repository: str, credentials: Credentials | None, exchange: Exchange) -> str:
    realm, service = asked.get("realm", ""), asked.get("service", "")
    scope = asked.get("scope") or f"repository:{repository}:pull"
    if credentials and credentials.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": CLIENT, "scope": scope}
        answer = exchange.post(realm, {**form, "refresh_token": credentials.identity_token}, TOKEN_LIMIT)
    else:
        scopes = [("scope", one) for one in scope.split()]
        query = urlencode([*([("service", service)] if service else []), *scopes])
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        answer = exchange.get(url, {}, TOKEN_LIMIT, _basic(credentials) if credentials else None)
    return _token_in(answer, bool(credentials))


def _token_in(answer: HttpAnswer, logged_in: bool) -> str:
    if answer.status in (400, 401, 403):
        raise TokenRefused("it does not accept the login of Docker's config" if logged_in else "it wants a login")
    if answer.status != 200:
        raise Unreadable(f"The registry's token server answers with HTTP status {answer.status}.")
    try:
        given = json_object(answer.body)
        token = text_in(given, "token") or text_in(given, "access_token") or ""
    except ValueError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise Unreadable("The registry's token server gives no token.")
    return token


def _basic(credentials: Credentials) -> str:
    return "Basic " + b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
