"""What an old image says of its containers, as instructions for a new one; what only served a driver is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gpuctl.compat.knowledge.driver_parts import driver_part
from gpuctl.dockerfile.quoting import Unwritable, exec_form, pair, paths_form, quoted
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import without_secrets
from gpuctl.images.run import Healthcheck, RunConfig
from gpuctl.regex import regex

_OF_NVIDIA = regex(r"(?:NVIDIA|NV|CUDA|NCCL|CUDNN)_\w+|NVARCH|LIBRARY_PATH")
"""Variables that the images of NVIDIA set for themselves: the new base has its own."""
_LABELS_OF_NVIDIA = regex(r"com\.nvidia\..*|maintainer|org\.opencontainers\.image\.(?:ref\.name|version)")
_PATHS = ("PATH", "LD_LIBRARY_PATH")
_OF_EVERY_BASE = {
    "PATH": ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"),
    "LD_LIBRARY_PATH": (
        "/usr/lib",
        "/lib",
        "/usr/lib64",
        "/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/lib/x86_64-linux-gnu",
    ),
}
_TOOLKIT = regex(r"/usr/local/(?:cuda(?:-[\d.]+)?|nvidia)(?:/.*)?")
_PORT = regex(r"\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp|sctp))?")
_SIGNAL = regex(r"[A-Za-z0-9+-]+")
_ROOTS = ("", "0", "root", "0:0", "root:root")
_TOOLKITS_ENTRY = "/opt/nvidia/nvidia_entrypoint.sh"


@dataclass(frozen=True)
class Carried:
    """Instructions for the new image; `left` is what was not carried over, each with its reason, a sentence.

    `libraries` and `programs` are what is put in front of LD_LIBRARY_PATH and PATH.
    """

    env: tuple[str, ...]
    libraries: tuple[str, ...]
    programs: tuple[str, ...]
    workdir: str
    user: str
    others: tuple[str, ...]
    start: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def is_roots(self) -> bool:
        """Whether its containers ran as root."""
        return self.user in _ROOTS


def carried_from(run: RunConfig) -> Carried:
    """Returns what of an old image the new one says too, in a Dockerfile's instructions."""
    left: list[str] = []
    env = [line for name, value in run.env if name not in _PATHS for line in _variable(name, value, left)]
    found = dict(run.env)
    return Carried(
        env=tuple(env),
        libraries=tuple(_folders("LD_LIBRARY_PATH", found.get("LD_LIBRARY_PATH", ""), left)),
        programs=tuple(_folders("PATH", found.get("PATH", ""), left)),
        workdir=_instruction("WORKDIR", run.workdir, left) if run.workdir not in ("", "/") else "",
        user=run.user,
        others=tuple(_others(run, left)),
        start=tuple(_start(run, left)),
        left=tuple(left),
    )


def may_be_secret(name: str, value: str) -> bool:
    """Returns whether a variable is one of those that gpuctl shows nobody."""
    line = f"{name}={value}"
    return bool(value) and without_secrets(line) != line


def _variable(name: str, value: str, left: list[str]) -> Iterator[str]:
    if _OF_NVIDIA.fullmatch(name):
        return
    if may_be_secret(name, value):
        left.append(f"The variable {name} may hold a secret: give it to containers (--env), not to an image.")
        return
    try:
        yield pair(name, value)
    except Unwritable as why:
        left.append(f"The variable {name[:80]} is not carried over: {why}.")


def _folders(name: str, value: str, left: list[str]) -> Iterator[str]:
    """The folders of a search path that the new base does not have by itself."""
    for folder in dict.fromkeys(filter(None, value.split(":"))):
        if folder in _OF_EVERY_BASE[name] or _TOOLKIT.fullmatch(folder):
            continue
        if driver_part(folder):
            left.append(f"{folder} is a folder of a driver: the toolkit brings the driver, {name} goes without it.")
        elif "\n" in folder or "\r" in folder:
            left.append(f"A folder of {name} holds a line break, which no Dockerfile can write.")
        else:
            yield folder


def _instruction(name: str, value: str, left: list[str]) -> str:
    try:
        return f"{name} {quoted(value)}"
    except Unwritable as why:
        left.append(f"{name} is not carried over: {why}.")
        return ""


def _others(run: RunConfig, left: list[str]) -> Iterator[str]:
    """Labels, ports, volumes, the health check, the signal that stops it, and the shell."""
    for name, value in run.labels:
        if not _LABELS_OF_NVIDIA.fullmatch(name):
            yield from _written(f"The label {name[:80]}", partial(_label, name, value), left)
    ports = [port for port in run.ports if _PORT.fullmatch(port)]
    left += [f"The port {port[:80]!r} is none that EXPOSE takes." for port in run.ports if port not in ports]
    if ports:
        yield f"EXPOSE {' '.join(ports)}"
    if run.volumes:
        yield from _written("VOLUME", lambda: f"VOLUME {paths_form(run.volumes)}", left)
    if run.shell:
        yield from _written("SHELL", lambda: f"SHELL {exec_form(run.shell)}", left)
    if run.stop_signal and _SIGNAL.fullmatch(run.stop_signal):
        yield f"STOPSIGNAL {run.stop_signal}"
    if run.healthcheck:
        check = run.healthcheck
        yield from _written("HEALTHCHECK", lambda: _healthcheck(check), left)
    if run.on_build:
        left.append("ONBUILD is not carried over: it was for images that are built on the old one.")


def _label(name: str, value: str) -> str:
    return f"LABEL {pair(name, value)}"


def _start(run: RunConfig, left: list[str]) -> Iterator[str]:
    entry = run.entrypoint
    if entry and entry[0] != _TOOLKITS_ENTRY:
        yield from _written("ENTRYPOINT", lambda: f"ENTRYPOINT {exec_form(entry)}", left)
    if run.cmd:
        yield from _written("CMD", lambda: f"CMD {exec_form(run.cmd)}", left)


def _written(what: str, write: Callable[[], str], left: list[str]) -> Iterator[str]:
    try:
        yield write()
    except Unwritable as why:
        left.append(f"{what} is not carried over: {why}.")


def _healthcheck(check: Healthcheck) -> str:
    kind, words = check.test[0], check.test[1:]
    if kind == "NONE":
        return "HEALTHCHECK NONE"
    times = (("interval", check.interval), ("timeout", check.timeout), ("start-period", check.start_period))
    options = [f"--{name}={_duration(value)}" for name, value in times if value]
    options += [f"--retries={check.retries}"] if check.retries else []
    # In the shell's form a text is one line, as the builder reads it.
    command = exec_form(words if kind == "CMD" else ("/bin/sh", "-c", " ".join(words)))
    if kind == "CMD-SHELL" and _is_plain(words):
        command = words[0]
    return " ".join(("HEALTHCHECK", *options, "CMD", command))


def _is_plain(words: Sequence[str]) -> bool:
    """Whether a health check's line can stand as it is: one line, that is no JSON and continues nowhere."""
    text = words[0] if len(words) == 1 else ""
    return bool(
        text.strip() == text and text.isprintable() and text.isascii() and text[:1] not in "[" and text[-1] != "\\"
    )


def _duration(nanoseconds: int) -> str:
    """As Go reads it: 30s, 1500000ns."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{nanoseconds}ns" if rest else f"{seconds}s"
