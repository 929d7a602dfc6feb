"""The credentials for a registry, as Docker's client keeps them.

https://docs.docker.com/reference/cli/docker/login/ (auths, credsStore, credHelpers in config.json) and
https://github.com/docker/docker-credential-helpers for the programs that keep them instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuctl.host.act.process import ask_program
from gpuctl.host.decode import object_in, text_in
from gpuctl.host.look.reading import Host, Outcome, failure
from gpuctl.images.documents import json_object
from gpuctl.images.reference import HUB
from gpuctl.model import CannotTell

HELPER_SECONDS = 10.0
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_NOT_FOUND = "credentials not found in native keychain"
"""Every helper says this in the same words (credentials/error.go)."""
_IS_TOKEN = "<token>"  # noqa: S105


class BrokenSettings(CannotTell):
    """A file of Docker's settings makes no sense; the message says which, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} is not understood: {why}")
        self.path = path


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token, which a token server changes for one that opens the registry."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def find_credentials(host: Host, registry: str, seconds: float) -> Credentials | None:
    """Returns the credentials for a registry; None where Docker has none. Raises CannotTell.

    Of `seconds`, a helper that keeps them, a program of this machine, is given half, at most HELPER_SECONDS.
    """
    folder = host.env("DOCKER_CONFIG").text or host.env("HOME").text + "/.docker"
    config = host.read(folder + "/config.json")
    if config.outcome is Outcome.ABSENT:
        return None
    if not config.ok:
        raise CannotTell(f"{config.source} could not be read ({failure(config)})")
    try:
        settings = json_object(config.text)
        helper = _helper(settings, registry)
        auths = object_in(settings, "auths")
    except ValueError as error:
        raise BrokenSettings(config.source, str(error)) from None
    kept = _ask(helper, registry, min(seconds / 2, HELPER_SECONDS)) if helper else None
    return kept or _in_file(auths, registry, config.source)


def _helper(settings: Mapping[str, Any], registry: str) -> str | None:
    name = text_in(object_in(settings, "credHelpers"), _key(registry)) or text_in(settings, "credsStore")
    if name and not _HELPER.fullmatch(name):
        raise ValueError("it names a credential helper that cannot be one")
    return f"docker-credential-{name}" if name else None


def _ask(helper: str, registry: str, seconds: float) -> Credentials | None:
    answer = ask_program((helper, "get"), _key(registry), seconds)
    if answer.outcome is Outcome.OK and _NOT_FOUND in answer.text:
        return None
    if not answer.ok:
        # Not its own words: nobody knows what it prints.
        reason = f"exit status {answer.code}" if answer.outcome is Outcome.OK else failure(answer)
        raise CannotTell(f"the credential helper {helper} of Docker's config failed ({reason})")
    try:
        kept = json_object(answer.text)
        user, secret = text_in(kept, "Username"), text_in(kept, "Secret")
    except ValueError:
        user = secret = None
    if user is None or secret is None:
        raise CannotTell(f"the credential helper {helper} of Docker's config did not answer as one")
    return _credentials(user, secret)


def _credentials(user: str, secret: str) -> Credentials | None:
    if user == _IS_TOKEN:
        return Credentials(identity_token=secret)
    return Credentials(user, secret) if user or secret else None


def _in_file(auths: Mapping[str, Any], registry: str, source: str) -> Credentials | None:
    """The SDK knows the forms of `auths`, and which of its keys mean a registry."""
    from docker.auth import AuthConfig
    from docker.errors import DockerException

    try:
        entries = AuthConfig.parse_auth(auths, raise_on_error=True)
        found = AuthConfig({"auths": entries}).resolve_authconfig(registry) or {}
    except (DockerException, ValueError, TypeError, AttributeError):
        raise CannotTell(f"the credentials in {source} are not understood") from None
    token, user, password = (found.get(name) for name in ("IdentityToken", "username", "password"))
    if token:
        return Credentials(identity_token=str(token))
    return _credentials(user or "", password or "")


def _key(registry: str) -> str:
    """Docker Hub's credentials are kept under the address that its first registry had."""
    return _HUB_KEY if registry == HUB else registry
