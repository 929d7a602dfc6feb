"""Setting up containerd for Kubernetes: CRI's files, or what a distribution of Kubernetes has in their place."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from gpuctl.checks.remedies import as_root, register_with_k0s
from gpuctl.command import command, operands
from gpuctl.compat.knowledge.cdi import CONTAINERD_SINCE
from gpuctl.compat.versions import compare, leading
from gpuctl.engines.containerd import RUNTIME_PLUGIN, CriSettings, carries, enable, merged, settings
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted, set_values, values
from gpuctl.facts.containerd.containerd import SELF_CONFIGURED, Containerd
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.host.look.reading import Host, Outcome, failure, said_line
from gpuctl.host.write import files
from gpuctl.model import ENGINES, CannotTell, Disturbs, ExitCode, Remedy
from gpuctl.provision.change_set import ChangeSet, Contents, Edit, Engine, RunningEngine, SharedFile, accept
from gpuctl.provision.engines.containerd.daemon import Running
from gpuctl.provision.engines.containerd.files import ConfigFiles, check, disabling, registered, shadowed, target
from gpuctl.provision.engines.daemons import not_restarted, refused
from gpuctl.provision.engines.runtime_program import PROGRAM, whole_path
from gpuctl.provision.result import Refused, Wish

ENGINE, TITLE = "containerd", ENGINES["containerd"]
FOUND_IN = ("/usr/local/nvidia/toolkit", "/usr/bin")
"""Where they look: https://github.com/k3s-io/k3s, pkg/agent/containerd/runtimes.go."""
TEMPLATE = "containerd-template.toml"
"""MicroK8s writes containerd.toml anew from this at every start: https://github.com/canonical/microk8s,
microk8s-resources/wrappers/run-containerd-with-args."""
DUMP_DEADLINE = 10.0


def plan(host: Host, facts: Facts, wish: Wish) -> ChangeSet:
    """Returns the changes of the containerd that runs or lies here. `facts` must have Containerd and System.

    Raises Refused.
    """
    containerd, system = _containerd(facts), facts.known(System)
    if containerd.flavour.value == "k0s" and not wish.config:
        raise Refused("k0s writes its containerd's files anew.", remedy=register_with_k0s(system, containerd))
    program = whole_path(host, system, wish, TITLE)
    notes = _about_cdi(containerd, wish)
    if containerd.flavour.value in SELF_CONFIGURED and not wish.config:
        return _self_configured(host, containerd, system, wish, program)
    try:
        layout = _layout(containerd, wish.config)
        edits = _edits(host, containerd, layout, wish, program)
    except NotAccepted as error:
        raise refused(wish.config or _main(containerd), error) from None
    daemon = _running(host, containerd) if wish.reload and _reads(containerd, layout) else None
    notes = (*notes, *_enabled(layout), *shadowed(layout), *_why_not_told(containerd, layout, wish))
    return _change_set(containerd, system, wish, edits, daemon, notes)


def running(host: Host, facts: Facts) -> RunningEngine | None:
    """Returns the containerd that runs here, None where none runs. Raises Refused where it is not to be set up."""
    containerd = _containerd(facts)
    return _running(host, containerd) if containerd.process.value else None


def _containerd(facts: Facts) -> Containerd:
    try:
        containerd = facts.known(Containerd)
    except CannotTell as reason:
        raise Refused(f"containerd could not be looked at: {str(reason).rstrip('.')}.", ExitCode.UNDETERMINED) from None
    if containerd.process.unknown:
        raise Refused(f"containerd could not be looked at: {containerd.process.reason}.", ExitCode.UNDETERMINED)
    if containerd.flavour.value is None:
        raise Refused("containerd is not installed here.", remedy=Remedy("Name the engine that is: --engine."))
    if containerd.flavour.value == "docker":
        remedy = Remedy("Set up Docker.", (command("gpuctl", "install-runtime", "--engine", "docker"),))
        raise Refused(
            "The containerd that runs here is a part of Docker, and Kubernetes does not use it.", remedy=remedy
        )
    return containerd


def _about_cdi(containerd: Containerd, wish: Wish) -> tuple[str, ...]:
    """Raises Refused where CDI is wished and this containerd has none, or is told of it by somebody else."""
    version, cri = leading(containerd.version.value or ""), containerd.cri.value
    if not wish.cdi or (cri and cri.cdi):
        return ("containerd has CDI on already.",) if wish.cdi else ()
    if version and compare(version, CONTAINERD_SINCE) < 0:
        raise Refused(f"containerd {version} has no CDI: it came with {CONTAINERD_SINCE}.")
    if containerd.flavour.value in SELF_CONFIGURED and not wish.config:
        raise Refused(
            f"{containerd.title} writes containerd's files anew whenever it starts: enable_cdi is set in its template."
        )
    return ()


def _main(containerd: Containerd) -> str:
    """The file that people edit."""
    config = containerd.config.value or ""
    if containerd.flavour.value == "microk8s":
        return posixpath.join(posixpath.dirname(config), TEMPLATE)
    return config


def _layout(containerd: Containerd, config: str | None) -> ConfigFiles:
    main = config or _main(containerd)
    if main == containerd.config.value and containerd.files.unknown:
        values(files.read(main).raw or b"")  # which says the line, where it is this file
        raise Refused(f"containerd's files could not be read: {containerd.files.reason}.", ExitCode.UNDETERMINED)
    return _read(containerd, main)


def _read(containerd: Containerd, main: str) -> ConfigFiles:
    paths = (main == containerd.config.value and containerd.files.value) or (main,)
    return ConfigFiles(main, {path: files.read(path).raw for path in paths}, containerd.release)


def _reads(containerd: Containerd, layout: ConfigFiles) -> bool:
    return containerd.process.value is not None and files.same_file(layout.main, _main(containerd))


def _edits(host: Host, containerd: Containerd, layout: ConfigFiles, wish: Wish, program: str) -> tuple[Edit, ...]:
    path = target(layout, wish.name)
    there = layout.settings().runtimes.get(wish.name, "")
    wanted = there if there and _leads_to(host, there, program) else program

    def change(raw: bytes) -> bytes:
        now = layout.with_contents({path: raw})
        return registered(now, path, wanted, wish)

    changes = {**{file: enable for file in disabling(layout) if file != path}, path: change}
    planned = layout.with_contents({file: new(layout.raw(file)) for file, new in changes.items()})
    check(planned, path, wanted, wish)
    names = {path: wish.name}
    inspectors = {file: _inspector(host, containerd, file, names.get(file, "")) for file in changes}
    return tuple(
        Edit(file, _checked(file, layout, new), diff, inspectors[file], values) for file, new in changes.items()
    )


def _checked(
    path: str, layout: ConfigFiles, change: Callable[[bytes], bytes]
) -> Callable[[bytes | None], bytes | None]:
    def edit(raw: bytes | None) -> bytes | None:
        try:
            return change(layout.with_contents({path: raw}).raw(path))
        except NotAccepted as error:
            raise refused(path, error) from None

    return edit


def _leads_to(host: Host, there: str, program: str) -> bool:
    """Whether what is registered, perhaps a bare name, is that program: then nothing differs."""
    return files.same_file(there if "/" in there else host.which(there).text, program)


def _inspector(host: Host, containerd: Containerd, file: str, name: str) -> Callable[[str], None]:
    """What containerd itself makes of a new main file: it has to take it, and to find the runtime `name` in it."""
    program, process = containerd.program.value, containerd.process.value
    if program is None or not files.same_file(file, containerd.config.value or ""):
        return accept
    if process and not files.same_file(f"/proc/{process.pid}/exe", program):
        return accept  # what another containerd makes of it is of no use

    def inspect(path: str) -> None:
        reading = host.run((program, "--config", path, "config", "dump"), DUMP_DEADLINE)
        if reading.outcome is Outcome.OK and reading.code:
            words = said_line(reading.detail, -1) or failure(reading)
            raise Refused(f"containerd refuses the new {file}: {words.replace(path, file).rstrip('.')}.")
        dumped = reading.text.encode("utf-8")
        has = merged([dumped], RUNTIME_PLUGIN, (2, 0)) if reading.ok and name else None
        said = settings(has, RUNTIME_PLUGIN) if has else None
        if said and name not in said.runtimes:
            raise Refused(f"containerd does not find the runtime {name} in the new {file}.")
        if said and said.default not in said.runtimes:
            raise Refused(f"containerd would not find its default runtime {said.default} in the new {file}.")

    return inspect


def _enabled(layout: ConfigFiles) -> tuple[str, ...]:
    return tuple(
        f"{path} disables CRI, containerd's plugin for Kubernetes: it is enabled." for path in disabling(layout)
    )


def _why_not_told(containerd: Containerd, layout: ConfigFiles, wish: Wish) -> tuple[str, ...]:
    if containerd.process.value is None:
        return ("containerd is not running: it reads its files when it starts. Nothing was verified.",)
    if not _reads(containerd, layout):
        return (f"The containerd that runs here reads {_main(containerd)}, not this file: it was not asked.",)
    return () if wish.reload else ("containerd was not asked what it has. It reads its files when it starts.",)


def _running(host: Host, containerd: Containerd) -> Running:
    def says(contents: Contents) -> CriSettings:
        said = _read(containerd, _main(containerd)).with_contents(contents).settings()
        # A template's variables are known to the distribution alone.
        return replace(said, default="" if "$" in said.default else said.default)

    if containerd.flavour.value in SELF_CONFIGURED:
        return Running(host, containerd, lambda contents: CriSettings({}, "", False))
    return Running(host, containerd, says)


def _self_configured(host: Host, containerd: Containerd, system: System, wish: Wish, program: str) -> ChangeSet:
    """Nothing is to be written: what lacks is a restart, or a setting of the distribution's own."""
    title = containerd.title
    if wish.name != "nvidia" or posixpath.dirname(program) not in FOUND_IN:
        places = " or ".join(FOUND_IN)
        raise Refused(f"{title} registers {PROGRAM} by itself, as nvidia, and only where it lies in {places}.")
    _check_template(host, containerd, title)
    cri = containerd.cri.value
    if wish.default and (cri is None or cri.default != wish.name):
        file = f"/etc/rancher/{SELF_CONFIGURED[containerd.flavour.value or '']}/config.yaml"
        remedy = Remedy(f"Write `default-runtime: {wish.name}` into {file}, and restart {title}.")
        raise Refused(f"The default runtime is a setting of {title}.", remedy=remedy)
    wanted = CriSettings({wish.name: program}, wish.name if wish.default else "", False)
    runs = containerd.process.value is not None and wish.reload
    daemon = Running(host, containerd, lambda contents: wanted) if runs else None
    note = f"{title} registers the runtime {wish.name} by itself when it starts: there is nothing to write."
    return _change_set(containerd, system, wish, (), daemon, (note,))


def _check_template(host: Host, containerd: Containerd, title: str) -> None:
    """A person's own template takes the place of the distribution's: https://docs.k3s.io/advanced#base-template.

    Of the two names the first counts: https://github.com/k3s-io/k3s, pkg/agent/containerd/config.go.
    """
    folder = posixpath.dirname(containerd.config.value or "")
    looks = (host.read(posixpath.join(folder, name)) for name in ("config-v3.toml.tmpl", "config.toml.tmpl"))
    own = next((template for template in looks if template.ok), None)
    if own and not any(sign in own.text for sign in ('template "base"', PROGRAM, "ExtraRuntimes")):
        remedy = Remedy(f'Let {own.source} begin with {{{{ template "base" . }}}}, and restart {title}.')
        raise Refused(f"{own.source} takes the place of {title}'s own configuration.", remedy=remedy)


def _change_set(
    containerd: Containerd,
    system: System,
    wish: Wish,
    edits: tuple[Edit, ...],
    daemon: Running | None,
    notes: tuple[str, ...],
) -> ChangeSet:
    title = containerd.title
    change_set = ChangeSet(ENGINE, title, edits, daemon, notes=notes)
    if daemon is None or containerd.cri.unknown:
        return change_set
    if not daemon.difference({edit.path: edit.change(files.read(edit.path).raw) for edit in edits}):
        return replace(change_set, restart_needed=False)
    step = daemon.restarting
    if step is None and wish.restart:
        raise not_restarted(title)
    unit = containerd.unit.value
    commands = as_root(system, command("systemctl", "restart", *operands(unit.name))) if unit else ()
    late = f"{title} takes up the runtime {wish.name} when it is restarted: it reads its files only when it starts."
    remedy = Remedy(f"Restart {title}.", commands, step.disturbs if step else Disturbs.NEW_CONTAINERS)
    return replace(change_set, restart=wish.restart, restart_needed=True, late=(late,), remedy=remedy)


CONTAINERD = Engine(TITLE, plan, running, (System, Containerd), diff, SharedFile(values, set_values, carries))
