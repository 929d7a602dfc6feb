"""Whether the kernel has what Docker makes a container's network of, as far as Docker's log tells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpuctl.checks.engine import Judgement, check, failed, passed
from gpuctl.checks.layers.docker import at_least, daemon_of
from gpuctl.checks.layers.registration_log import LogEntry, entries_of
from gpuctl.checks.remedies import as_root, service
from gpuctl.command import Command, Shell, command
from gpuctl.facts.docker.docker import Daemon, Docker
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Remedy
from gpuctl.regex import regex

_LACKS = regex(
    r"can't initialize (?P<family>ip6?)tables table [`'](?P<table>\w+)'"
    r"|\(nf_tables\): .{0,40}(?P<nft>Could not fetch rule set generation id|TABLE_ADD failed)"
    r"|Extension (?P<extension>\w+) revision \d+ not supported"
    r"|(?:pair interfaces|failed to make veth pair): operation not supported"
)
"""How iptables and Docker say that the kernel has no such part: data/failures.jsonl, kernel-without-iptables-raw."""
RAW = "raw"
RAW_SINCE, RAW_LEFT_OUT_SINCE = "28.0", "28.0.2"
"""From the first on Docker writes into the table raw; from the second on it can be told not to. Source:
https://github.com/moby/moby/issues/49557, https://github.com/moby/moby/pull/49621"""
WITHOUT_RAW = "27.5.1"
"""The last release before."""
_NO_RAW = "DOCKER_INSECURE_NO_IPTABLES_RAW=1"


@check("registration.network")
def network(system: System, docker: Docker, kernel: Kernel, logs: Logs) -> Judgement | None:
    """Docker makes a container's network by iptables and veth: where the kernel lacks a part, none with one starts.

    Kernels of Jetsons, of boards and of one's own are built with less, and one whose package was replaced while it runs
    loads no module any more. From Docker 28 on the table raw is needed too, which Jetson Linux 36.4.3 has not.
    Source: https://github.com/moby/moby/issues/49557
    """
    daemon = daemon_of(docker)
    if daemon is None or logs.docker.value is None:
        return None
    started = docker.process.value.started if docker.process.value else 0.0
    told = [one for one in entries_of("docker", logs.docker) if one.at >= started and one.is_error]
    lacking = [(one, found) for one in told if (found := _LACKS.search(one.message))]
    if not lacking or _has_now(kernel, lacking[-1][1]):
        return passed("No container was left without its network", Evidence(logs.docker.source, "no such line"))
    entry, found = lacking[-1]
    message = f"A container got no network, and did not start ({_when(entry)}): {_part(found, daemon)}."
    remedy = _remedy(system, docker, daemon, kernel, found)
    return failed(message, Evidence(logs.docker.source, entry.line), remedy=remedy)


def _when(entry: LogEntry) -> str:
    return entry.line.partition(" ")[0]


def _has_now(kernel: Kernel, found: re.Match[str]) -> bool:
    """Whether somebody has loaded the module since."""
    return not found["nft"] and _module(found) in (kernel.modules.value or ())


def _part(found: re.Match[str], daemon: Daemon) -> str:
    """What the kernel lacks."""
    if found["table"]:
        needs = f", which Docker {daemon.version} needs" if _by_release(found, daemon) else ""
        return f"this kernel has no table {found['table']} of {found['family']}tables{needs}"
    if found["nft"]:
        return "iptables goes by nf_tables, which this kernel has not"
    return f"this kernel has no {_module(found)}"


def _module(found: re.Match[str]) -> str:
    """The module that makes what is lacking."""
    if found["table"]:
        return f"{found['family']}table_{found['table']}"
    return f"xt_{found['extension']}" if found["extension"] else "veth"


def _by_release(found: re.Match[str], daemon: Daemon) -> bool:
    """Whether an older Docker does without."""
    return found["table"] == RAW and at_least(daemon, RAW_SINCE)


def _remedy(system: System, docker: Docker, daemon: Daemon, kernel: Kernel, found: re.Match[str]) -> Remedy:
    if kernel.with_modules.value and system.kernel.value not in kernel.with_modules.value:
        text = "Reboot into the kernel that is installed: of the running one no module is left."
        return Remedy(text, as_root(system, command("reboot")), Disturbs.HOST)
    restart = service(system, docker, "restart")
    if _by_release(found, daemon):
        text, commands = _without_raw(system, docker, daemon)
        return Remedy(text, (*commands, *restart) if commands else (), Disturbs.RUNNING_CONTAINERS)
    if found["nft"]:
        older = command("update-alternatives", "--set", "iptables", "/usr/sbin/iptables-legacy")
        text = "Have iptables go by the older tables, which this kernel may have."
        return Remedy(text, (*as_root(system, older), *restart), Disturbs.RUNNING_CONTAINERS)
    text = "Load its module; where there is none, boot a kernel that has it (moby: contrib/check-config.sh)."
    return Remedy(text, as_root(system, command("modprobe", _module(found))))


def _without_raw(system: System, docker: Docker, daemon: Daemon) -> tuple[str, Sequence[Command]]:
    """How Docker does without the table raw: a setting, or before there was one, the last release that needs none."""
    unit = docker.unit.value
    if at_least(daemon, RAW_LEFT_OUT_SINCE):
        text = f"Tell dockerd to do without: {_NO_RAW}. Then other hosts of its network reach all published ports."
        folder = f"/etc/systemd/system/{unit.name}.d" if unit and docker.kind.value == "engine" else ""
        lines = command(
            *("printf", "%s\\n", "[Service]", f"Environment={_NO_RAW}"),
            *(Shell.PIPE, Shell.SUDO, "tee", f"{folder}/no-iptables-raw.conf"),
        )
        reload = command("systemctl", "daemon-reload")
        return text, as_root(system, command("mkdir", "-p", folder), lines, reload) if folder else ()
    text = f"Go back to Docker {WITHOUT_RAW} and hold it, or take {RAW_LEFT_OUT_SINCE} or later with {_NO_RAW} set."
    if system.package_manager.value != "apt":
        return text, ()
    packages = ("docker-ce", "docker-ce-cli")
    older = (f"{name}=5:{WITHOUT_RAW}-1~*" for name in packages)
    back = command("apt-get", "install", "-y", "--allow-downgrades", *older)
    return text, as_root(system, back, command("apt-mark", "hold", *packages))
