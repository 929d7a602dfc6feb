"""The smoke container where there is no Docker: made, run and removed by the engine's own program, podman or ctr."""

from __future__ import annotations

import secrets
from typing import Protocol

from gpuctl.command import Command, command, operands
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program, run_long
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.look.deadline import DeadlineExceeded
from gpuctl.host.look.reading import Outcome, Reading, failure, said_line
from gpuctl.images.reference import parse_reference
from gpuctl.model import GPU_KIND
from gpuctl.smoke.container import CAPABILITIES, LIMITS, PLACE, ContainerSpec, Ended, EngineError, entrypoint
from gpuctl.smoke.request import GpuRequest, visible_devices

ANSWER_SECONDS = 30.0
"""For a request that starts no container."""
PODS = "k8s.io"
"""The namespace in which containerd keeps what Kubernetes runs: its images are there."""


class Client(Protocol):
    """The program that starts containers by an engine, whose name in ENGINES `engine` is."""

    @property
    def engine(self) -> str: ...

    def via(self, request: GpuRequest) -> str:
        """Returns how the container asks for its GPUs."""

    def run(self, spec: ContainerSpec, name: str) -> tuple[str, ...]:
        """Returns the words that run the container to its end."""

    def remove(self, name: str) -> tuple[tuple[str, ...], ...]:
        """Returns what is run, in order, so that nothing of the container is left."""

    def images(self) -> tuple[str, ...]:
        """Returns the words that list the images that are here."""

    def pull(self, image: str) -> tuple[str, ...]:
        """Returns the words that fetch an image."""


@dataclass(frozen=True)
class PodmanClient:
    """Podman, which gives GPUs by a CDI specification."""

    engine = "podman"

    def via(self, request: GpuRequest) -> str:
        return " ".join(f"--device {name}" for name in devices(request))

    def run(self, spec: ContainerSpec, name: str) -> tuple[str, ...]:
        program, *arguments = entrypoint(spec)
        gpus = [f"--device={device}" for device in devices(spec.request)]
        # Labels of SELinux would keep the devices of the host from the container.
        limits = [*LIMITS, "--security-opt=label=disable"]
        volume = [f"--volume={spec.program.file}:{PLACE}/smoke:ro"] if spec.program else []
        run = ["podman", "run", "--rm", f"--name={name}", "--pull=never", *gpus, "-e", CAPABILITIES]
        return (*run, *limits, *volume, f"--entrypoint={program}", *operands(spec.image), *arguments)

    def remove(self, name: str) -> tuple[tuple[str, ...], ...]:
        return (("podman", "rm", "--force", "--ignore", name),)

    def images(self) -> tuple[str, ...]:
        return ("podman", "images", "--format={{.Repository}}:{{.Tag}}")

    def pull(self, image: str) -> tuple[str, ...]:
        return ("podman", "pull", "-q", *operands(image))


@dataclass(frozen=True)
class CtrClient:
    """containerd's ctr, in the words that lead to the daemon. `runtime` is the program that is registered for GPUs."""

    words: tuple[str, ...]
    runtime: str
    engine = "containerd"

    def via(self, request: GpuRequest) -> str:
        return self.runtime

    def run(self, spec: ContainerSpec, name: str) -> tuple[str, ...]:
        gpus = (f"--env=NVIDIA_VISIBLE_DEVICES={visible_devices(spec.request)}", f"--env={CAPABILITIES}")
        file = spec.program.file if spec.program else ""
        mount = (f"--mount=type=bind,src={file},dst={PLACE}/smoke,options=rbind:ro",) if file else ()
        run = (*self.words, "run", "--rm", "--read-only", f"--runc-binary={self.runtime}")
        return (*run, *gpus, *mount, *operands(spec.image, name), *entrypoint(spec))

    def remove(self, name: str) -> tuple[tuple[str, ...], ...]:
        return ((*self.words, "tasks", "rm", "--force", name), (*self.words, "containers", "rm", name))

    def images(self) -> tuple[str, ...]:
        return (*self.words, "images", "ls", "-q")

    def pull(self, image: str) -> tuple[str, ...]:
        return (*self.words, "images", "pull", *operands(image))


def devices(request: GpuRequest) -> tuple[str, ...]:
    """Returns the CDI devices for a request, as nvidia-ctk names them: by index, by UUID, or all."""
    return tuple(f"{GPU_KIND}={name}" for name in visible_devices(request).split(","))


def full_name(image: str) -> str:
    """Returns an image's whole name: what Docker takes for one of docker.io's, neither Podman nor ctr need find.

    An id, which is no name, stays as it is.
    """
    try:
        return str(parse_reference(image))
    except ValueError:
        return image


def command_line(client: Client, spec: ContainerSpec) -> Command:
    """Returns the same container as a person would run it."""
    return command(*client.run(spec, "gpuctl-smoke"))


def local_images(client: Client) -> tuple[str, ...]:
    """Returns the names of the images that are here. Raises EngineError."""
    said = ask_program(client.images(), "", ANSWER_SECONDS)
    if not said.ok:
        raise EngineError(_words(said))
    return tuple(line.strip() for line in said.text.splitlines() if line.strip())


def fetch(client: Client, image: str, seconds: float) -> bool:
    """Returns whether the image had to be fetched; `seconds` for that. Raises EngineError."""
    if image in local_images(client):
        return False
    said = run_long(client.pull(image), seconds)
    if not said.ok:
        raise EngineError(said.text.strip() or _words(said))
    return True


def run_to_end(client: Client, spec: ContainerSpec, seconds: float) -> Ended:
    """Runs the container and removes it, whatever happens; `seconds` from its start to its end.

    Raises EngineError, DeadlineExceeded, and what HeldSignals raises: only once the container is gone.
    """
    name = f"gpuctl-smoke-{secrets.token_hex(4)}"
    with HeldSignals() as signals:
        try:
            with signals.let_through():
                said = ask_program(client.run(spec, name), "", seconds)
        finally:
            for words in client.remove(name):
                ask_program(words, "", ANSWER_SECONDS)
    if said.outcome is Outcome.TIMEOUT:
        raise DeadlineExceeded(said.detail)
    if said.outcome is not Outcome.OK:
        raise EngineError(_words(said))
    return Ended(said.code, said.text, said.detail)


def _words(said: Reading) -> str:
    return (said_line(said.detail, -1) or failure(said)).rstrip(".")
