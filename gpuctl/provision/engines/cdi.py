"""A CDI specification that the toolkit generates, in the place of what stands in its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpuctl.checks.layers.cdi import lost, stale_spec, unfit
from gpuctl.checks.remedies import cdi_mode, install, install_toolkit
from gpuctl.command import command
from gpuctl.compat.knowledge.cdi import refusal
from gpuctl.engines.text_diff import text_diff
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.tegra import probe_tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.cdi import FOLDERS, Spec, described
from gpuctl.facts.toolkit.cdi_document import NO_DEVICE, Document, parse_document
from gpuctl.facts.toolkit.cdi_text import same
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Host, Outcome, failure, said_line
from gpuctl.host.record.redact import without_secrets
from gpuctl.model import ENGINES, GPU_KIND, CannotTell, Disturbs, ExitCode, Remedy
from gpuctl.provision.change_set import ChangeSet, Edit
from gpuctl.provision.result import Refused, Wish

SPEC = f"{FOLDERS[0]}/nvidia.yaml"
SUBJECTS = (System, Driver, Toolkit)
"""The facts that `with_specification` needs, besides those of the engine."""
GENERATE_DEADLINE = 60.0
_REFRESH = "nvidia-cdi-refresh"
_UNITS = ("/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system")
_ENABLED = f"/etc/systemd/system/multi-user.target.wants/{_REFRESH}.path"
_SEE_DRIVER = Remedy("See whether the driver is well.", (command("gpuctl", "doctor", "--only", "driver"),))


def with_specification(host: Host, facts: Facts, wish: Wish, change_set: ChangeSet) -> ChangeSet:
    """Returns them with a CDI specification beside the engine's own files, unless one in effect fits this host.

    Raises Refused. `facts` must have SUBJECTS.
    """
    try:
        found, driver = facts.known(Toolkit).cdi.get(), facts.known(Driver)
    except CannotTell as reason:
        raise Refused(f"The CDI specifications cannot be read: {reason}.", ExitCode.UNDETERMINED) from None
    specs = found.in_effect() if found else ()
    old = stale_spec(specs, driver)
    if specs and old is None and not wish.force:
        return replace(
            change_set, notes=(*change_set.notes, f"{specs[-1].path} names the GPUs already, and fits this host.")
        )
    path = old[0].path if old else specs[-1].path if specs else SPEC
    if wish.coming and not host.which("nvidia-ctk").ok:
        return replace(
            change_set, notes=(*change_set.notes, f"What is written to {path} shows once the toolkit is there.")
        )
    text = generated(host, facts.known(System), path)
    check_taken(change_set.engine, _version(change_set.engine, facts), text)
    _check_fits(host, facts.known(System), path, text)
    edits = (*change_set.edits, edit(path, text, wish.force))
    return replace(change_set, edits=edits, notes=(*change_set.notes, *_kept_up(host)))


def check_taken(engine: str, version: str, text: str) -> None:
    """Raises Refused where an engine of that version is known not to take the specification."""
    row = refusal(engine, version, parse_document(text).version) if version else None
    if row is None:
        return
    title = ENGINES[engine]
    needs = f"needs {title} {row.since}" if row.since else f"is taken by no {title} that is known"
    upgrade = f"Upgrade {title} to {row.since} or later, or use" if row.since else "Use"
    raise Refused(
        f"{title} {version} does not take what this toolkit generates: CDI {row.cdi} {needs}.",
        remedy=Remedy(f"{upgrade} a toolkit before 1.19.1."),
    )


def _version(engine: str, facts: Facts) -> str:
    """The engine's, "" where it is not known."""
    docker, crio = facts.get(Docker), facts.get(Crio)
    if engine == "docker" and docker and docker.daemon.value:
        return docker.daemon.value.version
    return (crio.version.value or "") if engine == "crio" and crio else ""


def _check_fits(host: Host, system: System, path: str, text: str) -> None:
    """Raises Refused where the specification calls, mounts or gives what this host does not have."""
    spec: Spec = described(host, path, None, text)
    program = next(filter(None, map(lost, spec.hooks)), "")
    if program:
        remedy = install("toolkit", "Install NVIDIA's own packages of the toolkit.", system, Disturbs.NOTHING)
        raise Refused(f"What nvidia-ctk generates calls {program}.", remedy=remedy)
    fault = unfit(spec)
    if fault:
        raise Refused(f"What nvidia-ctk generates does not fit this host: {fault}.", remedy=_SEE_DRIVER)


def _kept_up(host: Host) -> tuple[str, ...]:
    """Who writes it anew after the next upgrade of the driver: the toolkit has a unit for that from 1.18 on."""
    has_unit = any(host.stat(f"{folder}/{_REFRESH}.path").ok for folder in _UNITS)
    if host.stat(_ENABLED).ok:
        return ()
    again = f"systemctl enable --now {_REFRESH}.path" if has_unit else "gpuctl install-runtime --cdi"
    return (f"A driver upgrade makes it out of date: {again} {'keeps it up' if has_unit else 'writes it anew'}.",)


def generated(host: Host, system: System, path: str) -> str:
    """Returns the specification that the toolkit generates for this host. Raises Refused when it does not.

    It goes to stdout, whatever NVIDIA_CTK_CDI_OUTPUT_FILE_PATH says: nvidia-ctk writes a file in place, without a lock
    or a backup.
    """
    program = host.which("nvidia-ctk")
    if not program.ok:
        remedy = install_toolkit(system, "Install the NVIDIA Container Toolkit.")
        why = "is not on PATH" if program.outcome is Outcome.ABSENT else f"is not run: {program.detail}"
        raise Refused(f"nvidia-ctk, which generates the CDI specification, {why}.", remedy=remedy)
    form = "json" if path.endswith(".json") else "yaml"
    generate = (program.text, "cdi", "generate", *cdi_mode(probe_tegra(host)), "--output=", f"--format={form}")
    said = ask_program(generate, "", GENERATE_DEADLINE)
    if not said.ok:
        words = said_line(said.detail, -1) or failure(said)
        raise Refused(f"nvidia-ctk cdi generate failed: {words.rstrip('.')}.", remedy=_SEE_DRIVER)
    if _understood(said.text).kind != GPU_KIND:
        raise Refused(f"What nvidia-ctk cdi generate printed is not of {GPU_KIND}.")
    return said.text


def _understood(text: str) -> Document:
    try:
        document = parse_document(text)
        error = document.error
    except ValueError as reason:
        error = str(reason)
    if error == NO_DEVICE:
        raise Refused("nvidia-ctk cdi generate found no GPU.", remedy=_SEE_DRIVER)
    if error:
        raise Refused(f"What nvidia-ctk cdi generate printed is no CDI specification: {error}.")
    return document


def edit(path: str, text: str, force: bool) -> Edit:
    """Returns the edit that puts a specification into a file, which stays as it is where it says the same."""
    return Edit(path, _change(path, text, force), diff)


def _change(path: str, text: str, force: bool) -> Callable[[bytes | None], bytes | None]:
    def change(raw: bytes | None) -> bytes | None:
        if raw is None:
            return text.encode()
        try:
            there = raw.decode()
            if same(there, text):
                return raw
            is_for_gpus = parse_document(there).kind == GPU_KIND
        except ValueError:
            is_for_gpus = False
        if not is_for_gpus and not force:
            raise Refused(f"{path} is no specification of {GPU_KIND}. Use --force to replace it.")
        return text.encode()

    return change


def diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff of two specifications, without secrets: a variable may be one."""
    texts = (None if raw is None else without_secrets(raw.decode("utf-8", "replace")) for raw in (before, after))
    return text_diff(path, *texts)
