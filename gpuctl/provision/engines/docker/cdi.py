"""Docker's `--cdi`: whether `features.cdi` has to be set for this version, and whether Docker will find GPUs then."""

from __future__ import annotations

from gpuctl.compat.knowledge.cdi import DockerCdi, docker_cdi
from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import GPU_KIND
from gpuctl.provision.result import Refused, Wish


def sets_cdi(docker: Docker, wish: Wish) -> bool:
    """Returns whether `features.cdi` is to be set. Raises Refused where this Docker has no CDI."""
    daemon = docker.daemon.value
    if not wish.cdi or daemon is None:
        return wish.cdi
    known = _known(daemon.version)
    if known is DockerCdi.IMPOSSIBLE:
        raise Refused(f"Docker {daemon.version} has no CDI: it came with {docker_features()['cdi-opt-in'].since}.")
    return known is DockerCdi.OPT_IN or not daemon.cdi_spec_dirs


def about_cdi(facts: Facts, wish: Wish) -> tuple[str, ...]:
    """Returns what else is to be known where CDI is wished."""
    docker, toolkit = facts.known(Docker), facts.get(Toolkit)
    daemon = docker.daemon.value
    if not wish.cdi or daemon is None or not toolkit:
        return ()
    by_default = f"Docker {daemon.version} has CDI on by default: features.cdi is not needed."
    notes = () if sets_cdi(docker, wish) else (by_default,)
    specs = toolkit.cdi.value.in_effect() if toolkit.cdi.value else ()
    found = any(device.startswith(f"{GPU_KIND}=") for device in daemon.cdi_devices)
    if specs and daemon.cdi_devices and not found:
        return (*notes, f"Docker has found no {GPU_KIND} device in {', '.join(spec.path for spec in specs)}.")
    return notes


def _known(version: str) -> DockerCdi:
    try:
        return docker_cdi(version)
    except ValueError:  # a build of somebody's own: setting it does no harm
        return DockerCdi.OPT_IN
