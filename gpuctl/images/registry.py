"""An image's configuration from its registry, without the image.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator

from gpuctl.command import command, operands
from gpuctl.host.look.reading import Host
from gpuctl.images.address import is_loopback
from gpuctl.images.config import ImageConfig, Unreadable
from gpuctl.images.credentials import Credentials, find_credentials
from gpuctl.images.documents import (
    INDEXES,
    MANIFESTS,
    Config,
    Index,
    Manifest,
    choose,
    digest_of,
    is_digest,
    parse_config,
    parse_manifest,
)
from gpuctl.images.exchange import Exchange, HttpAnswer, NoAnswer
from gpuctl.images.reference import HUB, Reference
from gpuctl.images.token import TokenRefused, authorization
from gpuctl.model import CannotTell

MANIFEST_LIMIT = 4 << 20
"""The size of manifest that the specification expects everybody to take."""
CONFIG_LIMIT = 8 << 20
_INDEX_DEPTH = 3
_ACCEPT = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
_HUB_ADDRESS = "https://registry-1.docker.io"
_CERTIFICATES = "/etc/docker/certs.d"
_SHOWN = 400


def read_registry(
    typed: str, reference: Reference, host: Host, is_insecure: Callable[[], bool], architecture: str, end: float
) -> ImageConfig:
    """Returns what the registry tells of the image for linux on `architecture`. Raises Unreadable.

    `is_insecure` says whether this registry may do without TLS; it is asked where TLS fails. `end` is a time of
    time.monotonic.
    """
    context = _context(host, reference)
    problem = Unreadable(f"The registry {reference.registry} could not be asked.")
    for address, insecure in _addresses(reference, is_insecure):
        exchange = Exchange(context, insecure)
        try:
            return _Repository(address, reference, host, exchange, end).read(typed, architecture)
        except NoAnswer as error:
            if exchange.answered:
                raise
            problem = error
    raise problem


def _addresses(reference: Reference, is_insecure: Callable[[], bool]) -> Iterator[tuple[str, str | None]]:
    """In Docker's order, each with the host that may do without TLS.

    https://docs.docker.com/reference/cli/dockerd/#insecure-registries
    """
    if reference.registry == HUB:
        yield _HUB_ADDRESS, None
        return
    local = is_loopback(reference.host)
    if not local:
        yield f"https://{reference.registry}", None
    if local or is_insecure():
        yield f"https://{reference.registry}", reference.host.lower()
        yield f"http://{reference.registry}", reference.host.lower()


def _context(host: Host, reference: Reference) -> ssl.SSLContext:
    """Trusts what Docker trusts: the system's certificates, and those in the registry's own folder.

    https://docs.docker.com/engine/security/certificates/
    """
    context = ssl.create_default_context()
    folder = f"{_CERTIFICATES}/{reference.registry}"
    for name in host.list(folder).text.splitlines():
        if name.endswith(".crt"):
            certificates = host.read(f"{folder}/{name}").text.encode("ascii", "replace").decode()
            try:
                context.load_verify_locations(cadata=certificates)
            except (ssl.SSLError, ValueError):
                raise Unreadable(f"{folder}/{name} holds no certificate that gpuctl can read.") from None
    return context


class _Repository:
    """One image's place in a registry at `address`. `end` is a time of time.monotonic."""

    def __init__(self, address: str, reference: Reference, host: Host, exchange: Exchange, end: float) -> None:
        self._address = f"{address}/v2/{reference.repository}"
        self._reference = reference
        self._host = host
        self._exchange = exchange
        self._end = end
        self._authorization: str | None = None
        self._with_login = False
        self._trouble: CannotTell | None = None

    def read(self, typed: str, architecture: str) -> ImageConfig:
        """Returns the image's configuration. Raises Unreadable."""
        named, found = self._manifest(self._reference.version, self._reference.digest)
        offered: tuple[str, ...] = ()
        for _ in range(_INDEX_DEPTH):
            if isinstance(found, Manifest):
                config = self._config(found.config)
                source = f"the registry {self._reference.registry}"
                return ImageConfig(
                    typed, config.env, config.os, config.architecture, offered, named, source, config.container
                )
            offered = offered or tuple(dict.fromkeys(map(str, found.platforms)))
            chosen = choose(found, architecture)
            if chosen is None:
                there = ", ".join(offered)[:_SHOWN] or "no platform that it names"
                raise Unreadable(f"{self._reference} is there for {there}, not for linux/{architecture}.")
            _, found = self._manifest(chosen.digest, chosen.digest)
        raise self._no_image("it is a list of lists of lists")

    def _manifest(self, version: str, digest: str | None) -> tuple[str, Manifest | Index]:
        what = f"{self._reference.repository}{'@' if digest else ':'}{version}"
        answer = self._fetch(f"manifests/{version}", what, MANIFEST_LIMIT)
        told = answer.headers.get("Docker-Content-Digest", "")
        expected = digest or (told if is_digest(told) else digest_of(answer.body))
        self._verify(answer.body, expected)
        try:
            return expected, parse_manifest(answer.body, answer.headers.get("Content-Type", ""))
        except ValueError as error:
            raise self._no_image(str(error)) from None

    def _config(self, digest: str) -> Config:
        answer = self._fetch(f"blobs/{digest}", f"configuration of {self._reference}", CONFIG_LIMIT)
        self._verify(answer.body, digest)
        try:
            return parse_config(answer.body)
        except ValueError as error:
            raise self._no_image(str(error)) from None

    def _verify(self, body: bytes, digest: str) -> None:
        if digest_of(body, digest) != digest:
            raise self._no_image("what the registry gives has another digest than it should")

    def _no_image(self, reason: str) -> Unreadable:
        return Unreadable(f"{self._reference} is not an image that gpuctl can read: {reason}.")

    def _fetch(self, path: str, what: str, limit: int) -> HttpAnswer:
        url = f"{self._address}/{path}"
        answer = self._exchange.get(url, _ACCEPT, limit, self._authorization)
        if answer.status == 401 and not answer.redirected and self._authorization is None:
            self._authorization = self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer = self._exchange.get(url, _ACCEPT, limit, self._authorization)
        if answer.status != 200:
            raise self._refusal(answer.status, what)
        return answer

    def _authorize(self, challenge: str) -> str:
        credentials = self._credentials()
        self._with_login = credentials is not None
        try:
            return authorization(challenge, self._reference.repository, credentials, self._exchange)
        except TokenRefused as error:
            raise self._closed(str(error)) from None

    def _credentials(self) -> Credentials | None:
        """What cannot be looked up may not be needed: a public image's token is for everybody."""
        try:
            return find_credentials(self._host, self._reference.registry, self._end - time.monotonic())
        except CannotTell as error:
            self._trouble = error
            return None

    def _refusal(self, status: int, what: str) -> Unreadable:
        registry = f"The registry {self._reference.registry}"
        if status == 404:
            return Unreadable(f"{registry} has no {what}.")
        if status in (401, 403):
            return self._closed(f"HTTP status {status}, which can mean that there is no such image")
        if status == 429:
            return Unreadable(f"{registry} refuses more requests for now (HTTP status 429).")
        return Unreadable(f"{registry} answers with HTTP status {status}.")

    def _closed(self, reason: str) -> Unreadable:
        name = self._reference.registry
        login = command("docker", "login", *(() if name == HUB else operands(name)))
        hint = f"log in with `{login}`"
        if self._trouble:
            hint = str(self._trouble)
        elif self._with_login:
            hint = f"Docker's config has a login for it; if it is out of date, {hint}"
        return Unreadable(f"The registry {name} does not let gpuctl read {self._reference} ({reason}); {hint}.")
