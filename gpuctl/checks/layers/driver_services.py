"""Do NVIDIA's services run that these GPUs need, and are the GPUs set up for containers?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.remedies import as_root
from gpuctl.command import Command, command
from gpuctl.compat.versions import compare
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.nvml import Gpu
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.services import FABRIC_MANAGER, PERSISTENCED, Service, Services
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Fact, Remedy

MANY = 4
"""GPUs. Each takes a second or more to initialise, and the toolkit gives the driver 25 s."""


def _state(fact: Fact[Service]) -> Evidence:
    service = fact.value
    return Evidence(fact.source, f"{service.state} ({service.result})" if service else fact.unknown or "no such unit")


def _log(unit: str) -> Command:
    return command("journalctl", "-u", unit, "-n", "20", "--no-pager")


def _last(log: Fact[tuple[str, ...]]) -> tuple[Evidence, ...]:
    """The last that a service wrote, where it may be read."""
    return tuple(Evidence(log.source, line) for line in (log.value or ())[-1:])


@check("driver.fabric-manager")
def fabric_manager(system: System, pci: Pci, driver: Driver, services: Services, logs: Logs) -> Judgement | None:
    """GPUs behind NVSwitches wait for the fabric manager, of the driver's very version: "Error 802" until it runs.

    Source: https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    switches = pci.switches.get()
    if not switches or system.machine.value == "container":
        return None
    seen = (Evidence(pci.switches.source, f"NVSwitch {', '.join(switches)}"), _state(services.fabric_manager))
    service, version, running = services.fabric_manager.get(), services.fabric_version.value, driver.version.get()
    if service is None:
        text = "Install the fabric manager of the driver's own version (nvidia-fabricmanager), and enable it."
        return failed("This host has NVSwitches and no fabric manager.", *seen, remedy=Remedy(text))
    if version and running and compare(version, running) != 0:
        remedy = Remedy(f"Install the fabric manager {running}.", (), Disturbs.RUNNING_CONTAINERS)
        message = f"The fabric manager is {version} and the driver {running}: they must be one version."
        return failed(message, *seen, services.fabric_version, remedy=remedy)
    if service.state != "active":
        start = command("systemctl", "enable", "--now", FABRIC_MANAGER)
        remedy = Remedy("Start it.", as_root(system, start, _log(FABRIC_MANAGER)))
        message = f"The fabric manager does not run ({service.state}): CUDA fails."
        return failed(message, *seen, *_last(logs.fabric_manager), remedy=remedy)
    return passed("The fabric manager runs", *seen)


@check("driver.persistence")
def persistence(system: System, driver: Driver, services: Services) -> Judgement | None:
    """Without persistence mode the driver initialises every GPU anew for each container, which may take too long.

    "driver rpc error: timed out" is what the toolkit says then.
    Source: https://docs.nvidia.com/deploy/driver-persistence/index.html
    """
    gpus = driver.gpus.get()
    if not gpus:
        return None
    off = [gpu for gpu in gpus if gpu.persistence is False]
    seen = (
        Evidence(driver.gpus.source, f"persistence off on {len(off)} of {len(gpus)} GPUs"),
        _state(services.persistenced),
    )
    if len(off) < MANY:
        return passed("Persistence mode is on, or the GPUs are few", *seen)
    daemon = services.persistenced.value
    enable, once = command("systemctl", "enable", "--now", PERSISTENCED), command("nvidia-smi", "-pm", "1")
    remedy = Remedy("Keep the GPUs initialised.", as_root(system, enable if daemon else once))
    return warned(
        f"Persistence mode is off on {len(off)} GPUs: containers may time out at their start.", *seen, remedy=remedy
    )


@check("driver.persistence-daemon")
def persistence_daemon(system: System, services: Services, logs: Logs) -> Judgement | None:
    """nvidia-persistenced keeps the GPUs initialised; where it failed, the log says why."""
    service = services.persistenced.get()
    if service is None:
        return None
    if service.state != "failed":
        return passed(f"nvidia-persistenced is {service.state}", _state(services.persistenced))
    commands = as_root(system, _log(PERSISTENCED), command("systemctl", "restart", PERSISTENCED))
    remedy = Remedy("See why, then start it again.", commands)
    seen = (_state(services.persistenced), *_last(logs.persistenced))
    return warned("nvidia-persistenced has failed.", *seen, remedy=remedy)


@check("driver.mig-instances")
def mig_instances(system: System, driver: Driver) -> Judgement | None:
    """With MIG on, programs use MIG devices only: a GPU without any is there for nobody.

    Source: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
    """
    gpus = driver.gpus.get() or ()
    split = [gpu for gpu in gpus if gpu.mig and gpu.mig_devices is not None]
    if not split:
        return None
    bare = [gpu for gpu in split if gpu.mig_devices == 0]
    if not bare:
        return passed("Every GPU with MIG on has MIG devices", _mig(driver, split))
    names = ", ".join(str(gpu.index) for gpu in bare)
    gpu = ("-i", str(bare[0].index))
    profiles, off = command("nvidia-smi", "mig", *gpu, "-lgip"), command("nvidia-smi", *gpu, "-mig", "0")
    text = "Make instances (nvidia-smi mig -cgi PROFILE -C), or turn MIG off."
    remedy = Remedy(text, as_root(system, profiles, off), Disturbs.NEW_CONTAINERS)
    complain = failed if len(bare) == len(gpus) else warned
    return complain(f"GPU {names} has MIG on and no MIG device.", _mig(driver, split), remedy=remedy)


def _mig(driver: Driver, gpus: list[Gpu]) -> Evidence:
    return Evidence(driver.gpus.source, "; ".join(f"GPU {gpu.index}: {gpu.mig_devices} MIG devices" for gpu in gpus))
