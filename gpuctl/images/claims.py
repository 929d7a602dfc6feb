"""What an image says of itself: read on this host or in its registry, else told by its tag."""

from __future__ import annotations

from dataclasses import replace

from gpuctl.compat.ask.image_claims import Claims, claims_of_env, claims_of_tag, with_build
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.host.look.reading import Host
from gpuctl.images.config import ImageConfig, Unreadable
from gpuctl.images.read import read_image

DEADLINE = 20.0
SUBJECTS = (System, Docker)
"""What has to be gathered to read an image here."""


def image_claims(reference: str, host: Host, facts: Facts, offline: bool) -> Claims:
    """Returns what an image says of itself; where it cannot be read, `unread` says why and its tag what it tells.

    `offline` asks no registry. Raises ValueError where `reference` is no image's name.
    """
    system = facts.get(System)
    architecture = (system.architecture.value if system else None) or "x86_64"
    try:
        config = read_image(reference, host, facts, architecture, DEADLINE, offline)
    except Unreadable as why:
        told = claims_of_tag(reference) or Claims(
            reference, "this host's Docker" if offline else "this host's Docker and the registry"
        )
        return replace(told, unread=str(why))
    return with_build(claims_of_env(reference, config.source, config.env, _architectures(config)))


def _architectures(config: ImageConfig) -> tuple[str, ...]:
    offered = tuple(platform.split("/")[1] for platform in config.platforms if platform.startswith("linux/"))
    return tuple(dict.fromkeys(offered)) or ((config.architecture,) if config.architecture else ())
