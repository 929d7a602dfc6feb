"""How an image says that its containers are run: the part of its configuration that a Dockerfile writes.

https://github.com/opencontainers/image-spec/blob/main/config.md#properties, and for HEALTHCHECK
https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Image/operation/ImageInspect
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, object_in, text_in, texts_in


@dataclass(frozen=True)
class Healthcheck:
    """Its test as Docker keeps it: ("CMD-SHELL", "curl …"), ("NONE",). Times in nanoseconds, 0: the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0


@dataclass(frozen=True)
class RunConfig:
    """What an image says of its containers. Its texts are the image's: untrusted. Empty: it does not say."""

    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    healthcheck: Healthcheck | None = None
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()


def parse_run(config: Mapping[str, Any]) -> RunConfig:
    """Returns what an image's "config" (Docker: "Config") says. Raises ValueError.

    {"Env": ["PATH=/usr/bin"], "Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}}
    """
    pairs = (entry.partition("=") for entry in texts_in(config, "Env"))
    labels = object_in(config, "Labels")
    return RunConfig(
        tuple({name: value for name, equals, value in pairs if equals}.items()),
        texts_in(config, "Entrypoint"),
        texts_in(config, "Cmd"),
        text_in(config, "WorkingDir") or "",
        text_in(config, "User") or "",
        tuple(sorted(object_in(config, "ExposedPorts"))),
        tuple(sorted(object_in(config, "Volumes"))),
        tuple((name, text_in(labels, name) or "") for name in sorted(labels)),
        _healthcheck(object_in(config, "Healthcheck")),
        text_in(config, "StopSignal") or "",
        texts_in(config, "Shell"),
        texts_in(config, "OnBuild"),
    )


def _healthcheck(found: Mapping[str, Any]) -> Healthcheck | None:
    test = texts_in(found, "Test")
    if not test:
        return None
    names = ("Interval", "Timeout", "StartPeriod", "Retries")
    return Healthcheck(test, *(number_in(found, name) or 0 for name in names))
