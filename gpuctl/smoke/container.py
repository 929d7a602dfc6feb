"""The smoke container itself: made, run and removed through the Docker SDK."""

from __future__ import annotations

import io
import logging
import secrets
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gpuctl.command import Command, command, operands
from gpuctl.frozen import dataclass
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.unix import check_listener
from gpuctl.host.trust import Distrusted
from gpuctl.smoke.compare import QUERY
from gpuctl.smoke.deep import Program
from gpuctl.smoke.request import GpuRequest, docker_flag, visible_devices

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

T = TypeVar("T")

PROGRAM = "nvidia-smi"
LABEL = "gpuctl.smoke"
CAPABILITIES = "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
"""nvidia-smi comes with `utility`; an image of somebody else's may ask for less."""
PIDS = 256
"""CUDA starts some threads for each GPU."""
LIMITS = ("--network=none", "--cap-drop=ALL", "--read-only", "--security-opt=no-new-privileges", f"--pids-limit={PIDS}")
"""For docker and podman: it can read its GPUs and do nothing else."""
PLACE = "/gpuctl-smoke"
"""Where our own program lies in the container, if it is what runs there: a volume, as the root is read-only."""
ANSWER_SECONDS = 20.0
"""For a request that starts nothing."""
_NO_LIMIT = 24 * 3600
"""The SDK limits each read from Docker; here every use has a deadline for the whole, a start with its hook included."""
_LOG = {"type": "json-file", "config": {"max-size": "1m", "max-file": "1"}}


class EngineError(Exception):
    """Docker refused or broke off; the message is its own words."""


class ClientSettings(EngineError):
    """The SDK makes nothing of the Docker client's configuration; the message names the file."""


@dataclass(frozen=True)
class ContainerSpec:
    """What to run: the image, the GPUs to ask for, and how: by --gpus, or by a runtime of that name.

    `program` is run in the place of nvidia-smi.
    """

    image: str
    request: GpuRequest
    runtime: str | None
    program: Program | None = None


@dataclass(frozen=True)
class Ended:
    """A container that ran to its end: its exit status and what it printed."""

    code: int
    output: str
    errors: str


def via(spec: ContainerSpec) -> str:
    """Returns how the container asks for its GPUs: --gpus or --runtime=NAME."""
    return f"--runtime={spec.runtime}" if spec.runtime else "--gpus"


def command_line(spec: ContainerSpec) -> Command:
    """Returns the same container as a person would run it."""
    if spec.runtime is None:
        gpus = [f"--gpus={docker_flag(spec.request)}"]
    else:
        gpus = [f"--runtime={spec.runtime}", "-e", f"NVIDIA_VISIBLE_DEVICES={visible_devices(spec.request)}"]
    words = ["docker", "run", "--rm", *gpus, "-e", CAPABILITIES, *LIMITS]
    program, *arguments = entrypoint(spec)
    return command(*words, *_mount(spec), f"--entrypoint={program}", *operands(spec.image), *arguments)


def entrypoint(spec: ContainerSpec) -> tuple[str, ...]:
    """Returns the words of the program that the container runs."""
    return spec.program.argv(f"{PLACE}/smoke") if spec.program else (PROGRAM, *QUERY)


def _mount(spec: ContainerSpec) -> list[str]:
    return [f"--volume={spec.program.file}:{PLACE}/smoke:ro"] if spec.program else []


def options(spec: ContainerSpec) -> dict[str, Any]:
    """Returns the SDK's arguments for the container: it can read its GPUs and do nothing else."""
    from docker.types import DeviceRequest, Mount

    hardening = {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "read_only": True,
        "security_opt": ["no-new-privileges"],
        "pids_limit": PIDS,
    }
    program, *arguments = entrypoint(spec)
    common: dict[str, Any] = {
        "image": spec.image,
        "entrypoint": [program],
        "command": arguments,
        "labels": {LABEL: "1"},
    }
    if spec.program:
        common["mounts"] = [Mount(PLACE, None, no_copy=True)]
    if spec.runtime is not None:
        devices = f"NVIDIA_VISIBLE_DEVICES={visible_devices(spec.request)}"
        gpus: dict[str, Any] = {"runtime": spec.runtime, "environment": [CAPABILITIES, devices]}
    else:
        count = spec.request.count or (0 if spec.request.devices else -1)
        request = DeviceRequest(count=count, device_ids=list(spec.request.devices), capabilities=[["gpu"]])
        gpus = {"device_requests": [request], "environment": [CAPABILITIES]}
    return {**common, **hardening, **gpus, "log_config": _LOG}


def connect(endpoint: str) -> DockerClient:
    """Returns a client of the daemon at `endpoint`, which is root's or this user's. Raises EngineError."""
    from docker import DockerClient

    if endpoint.startswith("unix://"):
        try:
            check_listener(endpoint[len("unix://") :])
        except (Distrusted, OSError) as error:
            raise EngineError(str(error)) from None

    def client() -> DockerClient:
        with understood_settings():
            return DockerClient(base_url=endpoint, timeout=_NO_LIMIT)

    return ask(client)


def run(client: DockerClient, spec: ContainerSpec, seconds: float) -> Ended:
    """Runs the container and removes it, whatever happens; `seconds` from its start to its end.

    Raises EngineError, DeadlineExceeded, and what HeldSignals raises: only once the container is gone.
    """
    name = f"gpuctl-smoke-{secrets.token_hex(4)}"
    with HeldSignals() as signals:
        try:
            container = ask(lambda: client.containers.create(name=name, **options(spec)))
            if spec.program:
                _put(container, spec.program)
            with signals.let_through(), engine_errors():
                code = within(seconds, lambda: _start_and_wait(container))
            output = ask(lambda: container.logs(stdout=True, stderr=False))
            errors = ask(lambda: container.logs(stdout=False, stderr=True))
        finally:
            remove(client, name)
    return Ended(code, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


def program_code(program: Program) -> bytes:
    """Returns gpuctl's own program, as it lies in gpuctl."""
    return Path(program.file).read_bytes()


def _put(container: Container, program: Program) -> None:
    # Over Docker's API: a daemon that is rootless, or in a snap, need not see this host's files.
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("smoke")
        raw = program_code(program)
        entry.size, entry.mode = len(raw), 0o444
        tar.addfile(entry, io.BytesIO(raw))
    ask(lambda: container.put_archive(PLACE, archive.getvalue()))


def remove(client: DockerClient, name: str) -> None:
    """Removes the container, running or not; warns when Docker does not do it in time."""
    from docker.errors import NotFound

    def force() -> None:
        with suppress(NotFound):
            client.api.remove_container(name, v=True, force=True)

    try:
        ask(force)
    except EngineError:
        # Docker keeps the request: it removes the container once the start that blocks it has ended.
        logging.getLogger("gpuctl").warning("gpuctl: Docker has not removed %s yet: docker rm -f %s", name, name)


def ask(work: Callable[[], T]) -> T:
    """Returns what Docker answers to a request that starts nothing. Raises EngineError, also where no answer comes."""
    try:
        with engine_errors():
            return within(ANSWER_SECONDS, work)
    except DeadlineExceeded as late:
        raise EngineError(f"Docker gave {late}") from None


@contextmanager
def engine_errors() -> Iterator[None]:
    """Makes an EngineError, with Docker's own words, of all that the SDK raises when Docker refuses or breaks off."""
    from docker.errors import DockerException, StreamParseError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (DockerException, HTTPError, StreamParseError, OSError) as error:
        raise EngineError(str(getattr(error, "explanation", None) or error)) from error
    except (EngineError, DeadlineExceeded):
        raise
    except Exception as error:  # the SDK trusts the types in an answer: another may make anything of it
        raise EngineError(f"Docker's answer is not understood ({type(error).__name__}: {error})") from error


@contextmanager
def understood_settings() -> Iterator[None]:
    """Makes ClientSettings of what the SDK raises over a file of settings that is JSON and makes no sense to it."""
    from docker.utils.config import find_config_file

    try:
        yield
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        path = str(find_config_file())
        raise ClientSettings(f"Docker's client cannot make sense of its settings in {path}.") from error


def _start_and_wait(container: Container) -> int:
    container.start()
    return int(container.wait()["StatusCode"])
