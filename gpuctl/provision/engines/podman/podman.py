"""Giving Podman the GPUs: a CDI specification that the toolkit generates, which Podman reads for every container."""

from __future__ import annotations

from pathlib import PurePosixPath

from gpuctl.checks.layers.cdi import OTHERS_READ, moved
from gpuctl.command import command, operands
from gpuctl.compat.knowledge.cdi import PODMAN_ETC_ONLY, PODMAN_SINCE
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman, probe_version
from gpuctl.facts.toolkit.cdi import FOLDERS, SUFFIXES, Cdi, Spec, probe_cdi
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, failure
from gpuctl.host.write.files import behind_links
from gpuctl.model import ENGINES, GPU_KIND, CannotTell, Disturbs, ExitCode, Remedy, Step
from gpuctl.provision.change_set import ChangeSet, Contents, DaemonProblem, Engine, Kept, NotUp
from gpuctl.provision.engines.cdi import SPEC, check_taken, diff, edit, generated
from gpuctl.provision.result import Refused, Wish

ENGINE, TITLE = "podman", ENGINES["podman"]
INFO_DEADLINE = 20.0
USE = f"Containers ask for GPUs with: podman run --device {GPU_KIND}=all."


def plan(host: Host, facts: Facts, wish: Wish) -> ChangeSet:
    """Returns what gives Podman a specification. Raises Refused. `facts` must have System, Podman and Toolkit."""
    version, cdi = _seen(host, facts)
    path = wish.config or SPEC
    if wish.default:
        raise Refused("Podman takes GPUs as devices, not by a runtime: there is no default to set.")
    if not path.startswith("/") or not path.endswith(SUFFIXES):
        raise Refused(f"{path} is no place for a CDI specification: engines read whole paths to .json and .yaml files.")
    reader = Reader(host) if wish.reload else None
    specs = cdi.in_effect() if cdi else ()
    _check_neighbours(path, specs)
    kept = _kept_by_another(path, specs, version)
    if kept:
        return ChangeSet(ENGINE, TITLE, (), reader, notes=(*_closed(specs), kept, USE))
    if wish.coming and not host.which("nvidia-ctk").ok:
        return ChangeSet(
            ENGINE, TITLE, (), None, notes=(f"What is written to {path} shows once the toolkit is there.",)
        )
    text = generated(host, facts.known(System), path)
    check_taken(ENGINE, version, text)
    return ChangeSet(ENGINE, TITLE, (edit(path, text, wish.force),), reader, notes=(*_closed(specs), USE))


def running(host: Host, facts: Facts) -> Reader | None:
    """Returns what speaks for Podman, which has no daemon, where something is put back; None: it is not installed."""
    podman = facts.get(Podman)
    return Reader(host, puts_back=True) if podman and podman.program.value else None


def _seen(host: Host, facts: Facts) -> tuple[str, Cdi | None]:
    try:
        podman, toolkit = facts.known(Podman), facts.known(Toolkit)
        if podman.program.get() is None:
            raise Refused("Podman is not installed here.")
        version, cdi = leading(probe_version(host).get() or ""), toolkit.cdi.get()
    except CannotTell as reason:
        raise Refused(f"Podman could not be looked at: {reason}.", ExitCode.UNDETERMINED) from None
    if compare(version or "0", PODMAN_SINCE) < 0:
        raise Refused(f"Podman {version} does not take CDI devices: that came with {PODMAN_SINCE}.", remedy=_OLD_WAY)
    return version, cdi


_OLD_WAY = Remedy(
    "Upgrade Podman, or use the toolkit's OCI hook: podman run --hooks-dir=/usr/share/containers/oci/hooks.d"
    " -e NVIDIA_VISIBLE_DEVICES=all. Rootless, the hook must leave cgroups alone, which a specification never needs.",
    (command("nvidia-ctk", "config", "--set", "nvidia-container-cli.no-cgroups", "--in-place"),),
    Disturbs.NEW_CONTAINERS,
)
"""https://github.com/NVIDIA/nvidia-container-runtime/issues/85."""


def _check_neighbours(path: str, specs: tuple[Spec, ...]) -> None:
    """Another file beside it that names the same devices would make all of them unresolvable."""
    folder = PurePosixPath(path).parent
    other = next((spec for spec in specs if spec.path != path and PurePosixPath(spec.path).parent == folder), None)
    if other:
        raise Refused(
            f"{other.path} names {GPU_KIND} devices already, and none of them is resolved any more where {path} names"
            " them too.",
            remedy=Remedy("Bring that file up to date with --config, or move it away first."),
        )


def _kept_by_another(path: str, specs: tuple[Spec, ...], version: str) -> str:
    """A specification in a later folder counts more than ours would, and has somebody who looks after it."""
    other = next((spec for spec in specs if spec.path.startswith("/var/run/cdi/") and spec.path != path), None)
    is_read = compare(version, PODMAN_ETC_ONLY[0]) < 0 or compare(version, PODMAN_ETC_ONLY[1]) >= 0
    if other is None or not is_read:
        return ""
    return f"{other.path} names the GPUs already and counts before {path}: nvidia-cdi-refresh (toolkit 1.18) keeps it."


def _closed(specs: tuple[Spec, ...]) -> tuple[str, ...]:
    return tuple(
        f"Only root can read {spec.path}; for rootless Podman: {command('chmod', '0644', *operands(spec.path))}."
        for spec in specs
        if spec.mode is not None and not spec.mode & OTHERS_READ
    )


@dataclass(frozen=True)
class Reader:
    """Speaks for Podman as a daemon would: to reload is to ask whether all is as the specification says.

    `puts_back`: the specification is an old one, which comes back whether it fits this host or not.
    """

    host: Host
    puts_back: bool = False
    unit: None = None

    @property
    def reloading(self) -> Step:
        return Step("ask Podman, and look whether the specification's devices are there", Disturbs.NOTHING)

    @property
    def restarting(self) -> None:
        return None

    def reads(self, path: str) -> bool:
        return str(PurePosixPath(path).parent) in map(behind_links, FOLDERS)

    def difference(self, contents: Contents) -> str:
        return "" if self.puts_back or _is_taken_away(contents) else _difference(self.host)

    def reload(self, contents: Contents, deadline: float) -> None:
        if _is_taken_away(contents):
            return  # no device is asked for any more
        problem = self.difference(contents) or _silent(self.host, deadline)
        if problem or (not self.puts_back and (problem := _unlisted(self.host, deadline))):
            raise DaemonProblem(f"{problem}.")

    def restart(self, contents: Contents, deadline: float) -> None:
        raise NotUp("Podman has no daemon that could be restarted.")

    def keeps(self, before: Contents, now: Contents) -> Kept:
        return Kept("")


def _is_taken_away(contents: Contents) -> bool:
    return bool(contents) and all(raw is None for raw in contents.values())


def _difference(host: Host) -> str:
    try:
        cdi = probe_cdi(host).get()
    except CannotTell as reason:
        return f"The CDI specifications cannot be read: {reason}"
    specs = cdi.in_effect() if cdi else ()
    if cdi is None or not specs:
        return f"No CDI specification names {GPU_KIND} devices"
    twice = next((item for item in cdi.conflicts.items() if item[0].startswith(f"{GPU_KIND}=")), None)
    if twice:
        return f"{twice[0]} is in {' and in '.join(twice[1])}, which makes it unresolvable"
    faults = ((spec, moved(node)) for spec in specs for node in spec.nodes)
    return next((f"{spec.path} does not fit this host: {fault}" for spec, fault in faults if fault), "")


def _silent(host: Host, deadline: float) -> str:
    info = host.run(("podman", "info", "--format", "json"), max(deadline, INFO_DEADLINE))
    return "" if info.ok else f"Podman does not answer: {failure(info)}"


def _unlisted(host: Host, deadline: float) -> str:
    listed = host.run(("nvidia-ctk", "cdi", "list"), max(deadline, INFO_DEADLINE))
    if listed.outcome is Outcome.OK and listed.code == 0 and f"{GPU_KIND}=" not in listed.text:
        return f"nvidia-ctk cdi list names no {GPU_KIND} device"
    return ""


PODMAN = Engine(TITLE, plan, running, (System, Podman, Toolkit), diff)
