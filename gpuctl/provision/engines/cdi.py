"""A CDI specification that the toolkit generates, in the place of what stands in its file."""

from __future__ import annotations

from collections.abc import Callable

from gpuctl.checks.remedies import install
from gpuctl.command import command
from gpuctl.engines.text_diff import text_diff
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.cdi_document import GPU_KIND, Document, parse_document, same
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Host, Outcome, failure, said_line
from gpuctl.host.record.redact import without_secrets
from gpuctl.model import Disturbs, Remedy
from gpuctl.provision.result import Refused
from gpuctl.provision.setup import Edit

GENERATE_DEADLINE = 60.0
_SEE_DRIVER = Remedy("See whether the driver is well.", (command("gpuctl", "doctor", "--only", "driver"),))


def generated(host: Host, system: System, path: str) -> str:
    """Returns the specification that the toolkit generates for this host. Raises Refused when it does not.

    It goes to stdout: with --output, nvidia-ctk writes the file in place, without a lock or a backup.
    """
    program = host.which("nvidia-ctk")
    if not program.ok:
        remedy = install("toolkit", "Install the NVIDIA Container Toolkit.", system, Disturbs.NOTHING)
        why = "is not on PATH" if program.outcome is Outcome.ABSENT else f"is not run: {program.detail}"
        raise Refused(f"nvidia-ctk, which generates the CDI specification, {why}.", remedy=remedy)
    form = "json" if path.endswith(".json") else "yaml"
    said = ask_program((program.text, "cdi", "generate", f"--format={form}"), "", GENERATE_DEADLINE)
    if not said.ok:
        words = said_line(said.detail, -1) or failure(said)
        raise Refused(f"nvidia-ctk cdi generate failed: {words.rstrip('.')}.", remedy=_SEE_DRIVER)
    document = _understood(path, said.text)
    if document.kind != GPU_KIND or not document.devices:
        raise Refused("nvidia-ctk cdi generate found no GPU.", remedy=_SEE_DRIVER)
    return said.text


def _understood(path: str, text: str) -> Document:
    try:
        document = parse_document(path, text)
        error = document.error
    except ValueError as reason:
        error = str(reason)
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
            if same(path, there, text):
                return raw
            is_for_gpus = parse_document(path, there).kind == GPU_KIND
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
