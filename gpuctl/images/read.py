"""An image's configuration, read without pulling it: from Docker on this host, else from the image's registry."""

from __future__ import annotations

import time

from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import DOCKER_ARCHITECTURES
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.reading import Host
from gpuctl.images.config import ImageConfig, Unreadable
from gpuctl.images.daemon import is_insecure, local_endpoint, local_image
from gpuctl.images.reference import Reference, is_image_id, parse_reference

DOCKER_SECONDS = 5.0


def read_image(
    reference: str, host: Host, facts: Facts, architecture: str, deadline: float, offline: bool = False
) -> ImageConfig:
    """Returns the configuration of an image, named as for `docker run`. `deadline` in seconds, for all of it.

    `facts` must have Docker. `architecture` is in the kernel's words or in Docker's. `offline` asks no registry. Raises
    ValueError where `reference` is no image's name, and Unreadable.
    """
    name = None if is_image_id(reference) else parse_reference(reference)
    end = time.monotonic() + deadline
    endpoint, unseen, missing = None, "", f"No Docker runs on this host that could have {reference}"
    try:
        endpoint = local_endpoint(facts)
        found = local_image(reference, host, endpoint, min(deadline, DOCKER_SECONDS)) if endpoint else None
        if found:
            return found
    except Unreadable as error:
        missing = f"Whether Docker has {reference} on this host is unknown ({error})"
        unseen = f"; whether Docker has it on this host is unknown ({error})"
    else:
        missing = f"Docker has no image {reference} on this host" if endpoint else missing
    if name is None:
        raise Unreadable(f"{missing}, and no registry can be asked for an id.")
    if offline:
        raise Unreadable(f"{missing}.")
    try:
        ours = DOCKER_ARCHITECTURES.get(architecture, architecture)
        return _from_registry(reference, name, host, endpoint, ours, end)
    except DeadlineExceeded:
        raise Unreadable(f"The registry {name.registry} did not answer within {deadline:g} s{unseen}.") from None
    except Unreadable as error:
        raise Unreadable(f"{str(error).removesuffix('.')}{unseen}.") from None


def _from_registry(
    typed: str, name: Reference, host: Host, endpoint: str | None, architecture: str, end: float
) -> ImageConfig:
    def listed() -> bool:
        return endpoint is not None and is_insecure(name, host, endpoint, DOCKER_SECONDS)

    def read() -> ImageConfig:
        from gpuctl.images.registry import read_registry

        return read_registry(typed, name, host, listed, architecture, end)

    return within(max(0.0, end - time.monotonic()), read)
