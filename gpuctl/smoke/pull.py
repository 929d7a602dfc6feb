"""Fetching an image that the host lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gpuctl.host.decode import number_in, object_in, text_in
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.local import LocalHost
from gpuctl.images.credentials import BrokenSettings, find_credentials
from gpuctl.images.reference import parse_reference
from gpuctl.model import CannotTell
from gpuctl.smoke.container import ClientSettings, EngineError, ask, engine_errors

if TYPE_CHECKING:
    from docker import DockerClient


def is_local(client: DockerClient, image: str) -> bool:
    """Returns whether the host has the image. Raises EngineError."""
    from docker.errors import ImageNotFound

    def look() -> bool:
        try:
            client.images.get(image)
        except ImageNotFound:
            return False
        return True

    return ask(look)


def pull(client: DockerClient, image: str, seconds: float, tell: Callable[[float | None], None]) -> None:
    """Fetches the image within `seconds`, telling the share that is done (0 to 1; None: not known yet).

    The credentials are looked up here: the SDK would run any helper that PATH has, and go by anybody's settings.
    Raises EngineError. A pull that is given up goes on until gpuctl ends, which makes Docker cancel it.
    """

    def follow() -> None:
        layers: dict[str, tuple[int, int]] = {}
        events = client.api.pull(image, stream=True, decode=True, auth_config=_credentials(image, seconds))
        for event in events:
            if "error" in event:
                raise EngineError(str(event["error"]))
            layers.update(layer_progress(event))
            tell(share(layers))

    try:
        with engine_errors():
            within(seconds, follow)
    except DeadlineExceeded:
        raise EngineError(f"the pull did not end within {seconds:g} s") from None


def _credentials(image: str, seconds: float) -> dict[str, str]:
    try:
        found = find_credentials(LocalHost(), parse_reference(image).registry, seconds)
    except BrokenSettings as broken:
        raise ClientSettings(f"Docker's client cannot make sense of its settings in {broken.path}.") from broken
    except (CannotTell, ValueError) as error:
        raise EngineError(f"the credentials for {image} cannot be had: {error}") from None
    if found is None:
        return {}
    if found.identity_token:
        return {"identitytoken": found.identity_token}
    return {"username": found.user, "password": found.password}


def layer_progress(event: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Returns {layer: (bytes done, bytes in all)} as far as one line of a pull tells.

    A line: {"status": "Downloading", "progressDetail": {"current": 1024, "total": 4096}, "id": "a3ed95caeb02"}.
    """
    try:
        detail = object_in(event, "progressDetail")
        total = number_in(detail, "total")
        if event.get("status") != "Downloading" or not total:
            return {}
        return {text_in(event, "id") or "": (number_in(detail, "current") or 0, total)}
    except ValueError:  # it tells of the progress alone
        return {}


def share(layers: Mapping[str, tuple[int, int]]) -> float | None:
    """Returns how much of the layers known so far is there, from 0 to 1."""
    total = sum(size for _, size in layers.values())
    return min(1.0, sum(done for done, _ in layers.values()) / total) if total else None
