"""Requests for GPUs in a Compose file: those that are there, and how a new one is written for each target.

https://docs.docker.com/compose/how-tos/gpu-support/
https://github.com/compose-spec/compose-spec/blob/main/deploy.md#devices
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpuctl.engines.yaml.places import YamlKind, YamlNode
from gpuctl.engines.yaml.spelling import Tagged
from gpuctl.frozen import dataclass
from gpuctl.migrate.compose.services import Body
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.migration import ALL, Gpus
from gpuctl.migrate.tree import Place

CDI = "nvidia.com/gpu"
DEPLOY = ("deploy", "resources", "reservations", "devices")
GENERIC = ("deploy", "resources", "reservations", "generic_resources")
OVERRIDE = "!override"


@dataclass(frozen=True)
class NewRequest:
    """A new request: where it goes and what is written there. `path` is from the service's body."""

    path: tuple[str, ...]
    value: Any


class CannotAsk(ValueError):
    """A target has no way to ask for these GPUs; the message says why."""


def requests(body: Body) -> Iterator[Gpus]:
    """Yields the requests for GPUs that a service's body has, in all three ways."""
    return (gpus for _, gpus in placed_requests(body))


def placed_requests(body: Body) -> Iterator[tuple[Place, Gpus]]:
    """Yields the requests with the places where they stand."""
    tree = body.draft.tree
    for place in tree.entries(tree.field(body.node, *DEPLOY)):
        words = _words(body, place.value)
        driver = tree.field(place.value, "driver")
        if "gpu" in words or "nvidia" in words or (driver and driver.text == "nvidia"):
            yield place, _request(body, place.value)
    gpus = tree.field(body.node, "gpus")
    if gpus and gpus.text:
        yield gpus, Gpus()
    for place in tree.entries(gpus):
        yield place, _request(body, place.value)
    for place in tree.entries(tree.field(body.node, "devices")):
        for name in _cdi(body, place):
            yield place, Gpus((name,))


def _words(body: Body, node: YamlNode) -> list[str]:
    tree = body.draft.tree
    return [one.text for one in tree.entries(tree.field(node, "capabilities"))]


def _request(body: Body, node: YamlNode) -> Gpus:
    tree = body.draft.tree
    ids = tuple(place.text for place in tree.entries(tree.field(node, "device_ids")))
    count = tree.field(node, "count")
    number = count.text if count else ""
    words = tuple(word for word in _words(body, node) if word not in ("gpu", "nvidia"))
    return Gpus(ids or (ALL,), int(number) if number.isascii() and number.isdecimal() and not ids else None, words)


def _cdi(body: Body, place: Place) -> Iterator[str]:
    source = body.draft.tree.field(place.value, "source") if place.value.kind is YamlKind.MAPPING else place
    if source and source.text.startswith(f"{CDI}="):
        yield source.text.removeprefix(f"{CDI}=")


def wanted(gpus: Gpus, target: ComposeTarget, instead: bool, resource: str = "") -> NewRequest:
    """Returns a request as the target takes it. `instead`: it stands for those of earlier files, not beside them.

    `resource`: what a swarm's nodes call their GPUs. Raises CannotAsk.
    """
    if target is ComposeTarget.SWARM:
        if gpus.ids == (ALL,) or instead:
            raise CannotAsk("generic resources are a number, and this has all GPUs of its node, or others than before")
        return NewRequest(GENERIC, [{"discrete_resource_spec": {"kind": resource, "value": len(gpus.ids)}}])
    if target is ComposeTarget.CDI:
        if gpus.count is not None or instead:
            raise CannotAsk("CDI names devices, and neither a number of them nor others than an earlier file's")
        return NewRequest(("devices",), [_cdi_device(one) for one in gpus.ids])
    if target is ComposeTarget.COMPOSE_2_30:
        plain = gpus.ids == (ALL,) and gpus.count is None and not gpus.capabilities
        value: Any = ALL if plain and not instead else [_entry(gpus, always=False)]
        return NewRequest(("gpus",), Tagged(OVERRIDE, value) if instead else value)
    if instead:
        raise CannotAsk("what it adds to asks for other GPUs, and requests add up: --target compose-2.30 replaces them")
    return NewRequest(DEPLOY, [_entry(gpus, always=True)])


def _entry(gpus: Gpus, always: bool) -> dict[str, Any]:
    """A request as a mapping; `always`: with capabilities, without which Compose 2 refuses it below `deploy`."""
    number = {"count": gpus.count or ALL} if gpus.ids == (ALL,) else {"device_ids": list(gpus.ids)}
    words = ["gpu", *gpus.capabilities]
    return {"driver": "nvidia", **number, **({"capabilities": words} if always or len(words) > 1 else {})}


def _cdi_device(name: str) -> Any:
    """A CDI device; one whose name has a colon, as MIG devices have, is cut at it in the short form."""
    device = f"{CDI}={name}"
    return {"source": device, "target": device} if ":" in name else device
