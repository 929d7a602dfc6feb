"""What the Docker daemon on this host knows of an image, asked over its socket."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import quote

from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.host.decode import flag_in, object_in, text_in, texts_in
from gpuctl.host.look.name_service import addresses
from gpuctl.host.look.reading import Host, Outcome, failure
from gpuctl.images.config import ImageConfig, Unreadable, environment
from gpuctl.images.documents import json_object
from gpuctl.images.reference import Reference
from gpuctl.model import CannotTell


def local_endpoint(facts: Facts) -> str | None:
    """Returns where the daemon of this host answers; None where there is none. Raises Unreadable."""
    try:
        docker = facts.known(Docker)
    except CannotTell as reason:
        raise Unreadable(str(reason)) from None
    endpoint = docker.endpoint
    if endpoint.unknown or docker.daemon.unknown:
        raise Unreadable(endpoint.unknown or docker.daemon.unknown or "")
    return endpoint.value.url if endpoint.value and endpoint.value.local and docker.daemon.value else None


def local_image(typed: str, host: Host, endpoint: str, seconds: float) -> ImageConfig | None:
    """Returns the image that Docker has under this name or id; None where it has none. Raises Unreadable."""
    answer = host.get(endpoint, f"/images/{quote(typed, safe='/:@')}/json", seconds)
    if answer.outcome is Outcome.OK and answer.code == 404:
        return None
    if answer.outcome is Outcome.OK and answer.code:
        raise Unreadable(f"HTTP status {answer.code}")
    if not answer.ok:
        raise Unreadable(failure(answer))
    try:
        return _parse_image(typed, answer.text, f"Docker's image on this host ({endpoint})")
    except ValueError as error:
        raise Unreadable(f"the answer is not Docker's: {error}") from None


def _parse_image(typed: str, answer: str, source: str) -> ImageConfig:
    """{"Id": "sha256:…", "Os": "linux", "Architecture": "amd64", "Config": {"Env": ["PATH=/usr/bin"]}}"""
    image = json_object(answer)
    config = object_in(image, "Config")
    system, architecture = text_in(image, "Os") or "", text_in(image, "Architecture") or ""
    id = text_in(image, "Id") or None
    return ImageConfig(typed, environment(config), system, architecture, (), id, source, config)


def is_insecure(reference: Reference, host: Host, endpoint: str, seconds: float) -> bool:
    """Returns whether the daemon speaks to the registry without TLS, or without verifying it.

    https://docs.docker.com/reference/cli/dockerd/#insecure-registries
    """
    try:
        settings = object_in(json_object(host.get(endpoint, "/info", seconds).text), "RegistryConfig")
        own = object_in(object_in(settings, "IndexConfigs"), reference.registry)
        ranges = texts_in(settings, "InsecureRegistryCIDRs")
        return flag_in(own, "Secure") is False if own else _is_within(reference.host, ranges)
    except ValueError:
        return False


def _is_within(name: str, ranges: Sequence[str]) -> bool:
    try:
        networks = [ipaddress.ip_network(one, strict=False) for one in ranges]
        return any(ipaddress.ip_address(address) in network for address in addresses(name) for network in networks)
    except (OSError, ValueError):
        return False
