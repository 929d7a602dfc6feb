"""The failures that a smoke container meets most, by the core line of their error text.

Only the core line: engines of every version wrap it in other coats.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.model import Disturbs, Remedy

DOCTOR = Remedy("See what is wrong on this host.", ("gpuctl doctor",))
_NAME_AN_IMAGE = ("gpuctl smoke --image NAME",)
_OTHER_IMAGE = Remedy("Name an image that is on this host, or in a registry that it reaches.", _NAME_AN_IMAGE)
_INSTALL_RUNTIME = Remedy("Register the runtime; no container is stopped.", ("gpuctl install-runtime",))
_WHICH_RUNTIMES = Remedy(
    "Name one that it has; gpuctl install-runtime registers nvidia.", ("docker info --format '{{json .Runtimes}}'",)
)
_DRIVER = (
    "kernel.driver-installed",
    "kernel.nouveau",
    "kernel.secure-boot",
    "kernel.module-built",
    "kernel.module-loaded",
    "driver.version-agrees",
    "driver.nvml",
)


@dataclass(frozen=True)
class Cause:
    """`cores`: its wordings. `checks`: the doctor's checks that tell its variants apart. `remedy`: where none fails."""

    cores: tuple[str, ...]
    sentence: str
    checks: tuple[str, ...] = ()
    remedy: Remedy = DOCTOR


CAUSES = (
    Cause(
        ("docker daemon socket: permission denied", "permission denied while trying to connect", "PermissionError(13"),
        "You may not talk to Docker.",
        ("docker.reachable",),
        Remedy("Run gpuctl as root, or join the group docker and log in again."),
    ),
    Cause(
        (
            "error while fetching server API version",
            "connection aborted",
            "response ended prematurely",
            "docker gave no answer within",
        ),
        "Docker does not answer.",
        ("docker.reachable",),
    ),
    Cause(
        ("requirement error: unsatisfied condition",),
        "The image asks for a newer driver, or for another GPU, than this host has.",
        (),
        Remedy("Name an image for an older CUDA, or upgrade the driver.", ("gpuctl matrix", *_NAME_AN_IMAGE)),
    ),
    Cause(
        ("driver/library version mismatch",),
        "The driver's loaded module and its libraries are of different versions.",
        ("driver.version-agrees",),
        Remedy("Reboot, so that the installed module is loaded.", ("reboot",), Disturbs.HOST),
    ),
    Cause(
        ("nvml error: driver not loaded", "couldn't communicate with the NVIDIA driver"),
        "The driver's kernel module is not loaded.",
        _DRIVER,
    ),
    Cause(
        ("libnvidia-ml.so.1: cannot open shared object", "libnvidia-ml.so library in your system"),
        "The driver's library libnvidia-ml.so.1 is not found.",
        ("docker.kind", *_DRIVER),
    ),
    Cause(
        ("could not select device driver", "failed to discover GPU vendor from CDI"),
        "Docker does not know how to give GPUs to a container (--gpus).",
        (
            "docker.kind",
            "hardware.gpu-present",
            "toolkit.installed",
            "toolkit.hook",
            "registration.hook-visible",
            "registration.restart-needed",
            "registration.cdi",
        ),
    ),
    Cause(
        ("unknown runtime specified", "unknown or invalid runtime name"),
        "Docker has no runtime of that name.",
        (
            "docker.kind",
            "docker.config-valid",
            "toolkit.installed",
            "registration.config-applied",
            "registration.runtime",
        ),
        _WHICH_RUNTIMES,
    ),
    # Before nvidia-smi's: this line, too, can say that an executable file was not found.
    Cause(
        (
            "nvidia-container-runtime: no such file",
            "nvidia-container-runtime: permission denied",
            'exec: "nvidia-container-runtime": executable file not found',
        ),
        "The registered runtime is not an executable program.",
        ("toolkit.installed", "toolkit.runtime", "registration.runtime-path"),
        _INSTALL_RUNTIME,
    ),
    Cause(
        (
            "nvidia-container-runtime-hook: no such file",
            "nvidia-container-cli: no such file",
            'exec: "nvidia-container-runtime-hook": executable file not found',
            'exec: "nvidia-container-cli": executable file not found',
        ),
        "A part of the NVIDIA Container Toolkit is missing.",
        ("toolkit.installed", "toolkit.hook", "toolkit.cli"),
    ),
    Cause(
        ('exec: "nvidia-smi": executable file not found', "exec nvidia-smi failed: no such file"),
        "There is no nvidia-smi in the container: nothing put the host's driver into it, as it did not ask for GPUs.",
        ("driver.nvidia-smi",),
        Remedy(
            "Ask for them with --gpus all; before Docker 19.03, with --runtime=nvidia.", ("gpuctl smoke --gpus all",)
        ),
    ),
    Cause(
        ("nvidia-container-cli: device error",),
        "The toolkit does not know one of the GPUs that the container asks for.",
        ("driver.gpu-answers",),
        Remedy("Compare with the GPUs that the driver has.", ("nvidia-smi -L",)),
    ),
    Cause(
        ("exec format error", "does not match the specified platform", "no matching manifest for"),
        "The image is for another processor architecture.",
        (),
        Remedy("Name an image for this host's architecture.", _NAME_AN_IMAGE),
    ),
    Cause(
        ("toomanyrequests",),
        "The registry refuses more pulls for now.",
        (),
        Remedy("Log in, wait, or name an image that is on this host.", ("docker login", *_NAME_AN_IMAGE)),
    ),
    # Before the next: Docker says of a name that is none, too, that there is no such image.
    Cause(("invalid reference format",), "That is not the name of an image.", (), _OTHER_IMAGE),
    Cause(
        ("manifest unknown", "pull access denied", "no such image", "repository does not exist", "manifest for"),
        "There is no such image, or it is not open to you.",
        (),
        _OTHER_IMAGE,
    ),
    Cause(
        (
            "dial tcp",
            "no such host",
            "i/o timeout",
            "tls handshake timeout",
            "client.timeout exceeded",
            "request canceled while waiting for connection",
            "network is unreachable",
            "x509: ",
        ),
        "Docker cannot reach the image's registry.",
        (),
        _OTHER_IMAGE,
    ),
    Cause(
        ("the pull did not end within",),
        "The image was not pulled in time.",
        (),
        Remedy(
            "Allow more, or name an image that is on this host.", ("gpuctl smoke --pull-timeout 3600", *_NAME_AN_IMAGE)
        ),
    ),
    Cause(("no devices were found",), "The container saw no GPU.", ("driver.gpu-answers",)),
    Cause(
        ("no space left on device",),
        "The disk that holds Docker's files is full.",
        (),
        Remedy("Make room; `docker image prune` removes images that nothing uses.", ("docker system df",)),
    ),
)
"""The first row that matches counts."""
