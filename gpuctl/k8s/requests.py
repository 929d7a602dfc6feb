"""What a pod counts for with the scheduler, and what it asks for wrongly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpuctl.k8s.objects import Resources
from gpuctl.k8s.quantity import amount

Asked = tuple[str, bool, Resources, Resources]
"""A container's name, whether it is a sidecar, its requests and its limits."""
PODS = "pods"


def total_requests(
    containers: Sequence[Asked], inits: Sequence[Asked], overhead: Resources, whole: Resources
) -> Resources:
    """Returns what the scheduler counts: the larger of what runs in the end and of each step on the way, and overhead.

    Sidecars (init containers that are restarted) run on from their start. `whole` is asked for the pod as such, in the
    place of its containers' sum. Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for _, sidecar, requests, limits in inits:
        step = _defaulted(requests, limits)
        _raise(peak, {name: value + running.get(name, 0) for name, value in step.items()})
        if sidecar:
            _add(running, step)
    for _, _, requests, limits in containers:
        _add(running, _defaulted(requests, limits))
    _raise(running, peak)
    running.update(whole)
    _add(running, overhead)
    return {**running, PODS: 1000}


def _defaulted(requests: Resources, limits: Resources) -> Resources:
    """The API server takes a limit as the request where none is given."""
    return {**limits, **requests}


def _add(to: dict[str, int], more: Resources) -> None:
    for name, value in more.items():
        to[name] = to.get(name, 0) + value


def _raise(to: dict[str, int], least: Resources) -> None:
    for name, value in least.items():
        to[name] = max(to.get(name, 0), value)


def is_extended(name: str) -> bool:
    """Returns whether a resource is counted in whole devices, as GPUs are."""
    return "/" in name and "kubernetes.io/" not in name


def is_gpu(name: str) -> bool:
    """Returns whether it is one of the names under which NVIDIA's plugin offers GPUs, whole, shared or in MIG parts.

    Those of HAMi, Volcano and KubeVirt are theirs: what they mean is not known here.
    """
    return name in ("nvidia.com/gpu", "nvidia.com/gpu.shared") or name.startswith("nvidia.com/mig-")


def is_foreign(name: str) -> bool:
    """Returns whether it may be GPUs under a name of others', or one that the plugin was told to give them."""
    return is_extended(name) and not is_gpu(name) and (name.startswith("nvidia.com/") or "gpu" in name)


def gpus_in(resources: Resources) -> dict[str, int]:
    """Returns what there is of GPUs, by name."""
    return {name: value for name, value in resources.items() if is_gpu(name)}


def devices_of(requests: Resources, limits: Resources) -> Resources:
    """Returns the devices that a container with these requests and limits asks for."""
    return {name: value for name, value in _defaulted(requests, limits).items() if value and is_extended(name)}


def oddities(containers: Iterable[Asked]) -> tuple[str, ...]:
    """Returns sentences on what the API refuses of extended resources: fractions, less than none, unlike limits."""
    return tuple(said for one in containers for said in _oddities(one))


def _oddities(container: Asked) -> Iterator[str]:
    name, _, requests, limits = container
    for resource in filter(is_extended, {**requests, **limits}):
        asked, limit = requests.get(resource), limits.get(resource)
        wrong = next((one for one in (asked, limit) if one is not None and (one % 1000 or one < 0)), None)
        if wrong is not None:
            yield f"Container {name} asks for {amount(resource, wrong)} {resource}: only whole ones are given."
        elif limit is None:
            yield f"Container {name} requests {resource} without a limit: the API wants both, and equal."
        elif asked is not None and asked != limit:
            asks, most = amount(resource, asked), amount(resource, limit)
            yield f"Container {name} requests {asks} {resource} with a limit of {most}: the API wants them equal."
