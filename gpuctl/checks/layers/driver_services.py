"""Do NVIDIA's services run that these GPUs need, and are the GPUs set up for containers?"""

from __future__ import annotations

from dataclasses import replace

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.gpus.nvlink import MULTI_NODE, has_nvlink5
from gpuctl.compat.knowledge.keepers import NVIDIA
from gpuctl.compat.versions import compare
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.licence import Licence
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.services import FABRIC_MANAGER, GRIDD, IMEX, PERSISTENCED, Service, Services
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Fact, Remedy

FABRIC_READY = "completed"
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


@check("driver.fabric-manager", explains=("driver.fabric-state",))
def fabric_manager(
    system: System, keeper: Keeper, pci: Pci, driver: Driver, services: Services, logs: Logs
) -> Judgement | None:
    """GPUs behind NVSwitches wait for the fabric manager, of the driver's very version: "Error 802" until it runs.

    From HGX B200 on the switches are no functions of NVIDIA's on the PCI bus: there the boards themselves tell.
    Source: https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    behind = _behind_switches(system, pci)
    if behind is None or system.machine.value == "container":
        return None
    states = _fabric_states(driver)
    if not pci.switches.value and states == {FABRIC_READY}:
        return passed("Every GPU has joined the NVLink fabric", behind, _fabric(driver))
    seen = (behind, _state(services.fabric_manager))
    service, version, running = services.fabric_manager.get(), services.fabric_version.value, driver.version.get()
    if service is None:
        text = "Install the fabric manager of the driver's own version (nvidia-fabricmanager), and enable it."
        remedy = _install(text, system, keeper, running or "", Disturbs.NOTHING)
        return failed("This host has NVSwitches and no fabric manager.", *seen, remedy=remedy)
    if version and running and compare(version, running) != 0:
        text = f"Install the fabric manager {running}."
        remedy = _install(text, system, keeper, running, Disturbs.RUNNING_CONTAINERS)
        message = f"The fabric manager is {version} and the driver {running}: they must be one version."
        return failed(message, *seen, services.fabric_version, remedy=remedy)
    if service.state != "active":
        unmask = (command("systemctl", "unmask", FABRIC_MANAGER),) if service.state == "masked" else ()
        start = command("systemctl", "enable", "--now", FABRIC_MANAGER)
        nvlink5 = " From HGX B200 on it needs nvlsm and the module ib_umad besides." if not pci.switches.value else ""
        remedy = Remedy(f"Start it.{nvlink5}", as_root(system, *unmask, start, _log(FABRIC_MANAGER)))
        message = f"The fabric manager does not run ({service.state}): CUDA fails."
        return failed(message, *seen, *_last(logs.fabric_manager), remedy=remedy)
    return passed("The fabric manager runs", *seen)


def _install(text: str, system: System, keeper: Keeper, version: str, disturbs: Disturbs) -> Remedy:
    """With the commands where it is known how the driver's keeper names the fabric manager.

    One that packages brought beside a driver that none did is held there: the next upgrade would part them again.
    """
    name = _package(system, keeper, version.partition(".")[0]) if version else ""
    remedy = install("fabric-manager", text, system, disturbs, fabric_manager=name, version=version)
    if not remedy.commands or keeper.driver.value != "run-file" or system.package_manager.value != "apt":
        return remedy
    return replace(remedy, commands=(*remedy.commands, *as_root(system, command("apt-mark", "hold", *operands(name)))))


def _package(system: System, keeper: Keeper, branch: str) -> str:
    """The fabric manager's package for a branch, "" where it is not known. Ubuntu builds that of drivers for servers.

    From branch 580 on, NVIDIA's repository has it without the branch in its name.
    Sources: https://packages.ubuntu.com/noble/nvidia-fabricmanager-580,
    https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    packages = keeper.packages.value or {}
    there = any(name.startswith("nvidia-fabricmanager-") for name in packages)
    for_servers = "-server" in (keeper.branch.value or "") or any("-server" in name for name in packages)
    if there or (keeper.driver.value in ("ubuntu", "ubuntu-prebuilt") and for_servers):
        return f"nvidia-fabricmanager-{branch}"
    if keeper.driver.value != NVIDIA or not branch.isdecimal():
        return ""
    if int(branch) >= 580:
        return "nvidia-fabricmanager"
    return f"nvidia-fabricmanager-{branch}" if system.package_manager.value == "apt" else "nvidia-fabric-manager"


@check("driver.no-nvswitch")
def no_nvswitch(system: System, pci: Pci, services: Services) -> Judgement | None:
    """The fabric manager ends with an error on a host without NVSwitches: there it has nothing to do.

    Source: https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    service = services.fabric_manager.get()
    if service is None or system.machine.value == "container" or _behind_switches(system, pci):
        return None
    if service.state != "failed":
        return passed("No fabric manager has failed for want of switches", _state(services.fabric_manager))
    disable = command("systemctl", "disable", "--now", FABRIC_MANAGER)
    remedy = Remedy(
        "Turn the service off.", as_root(system, disable, command("systemctl", "reset-failed", FABRIC_MANAGER))
    )
    message = "The fabric manager has failed, and this host has no NVSwitch that needs it."
    return warned(message, _state(services.fabric_manager), remedy=remedy)


@check("driver.nvlinks")
def nvlinks(system: System, driver: Driver) -> Judgement | None:
    """GPUs of one board have as many NVLinks: one with fewer up has lost some, and programs wait for it or fail.

    Cards are bridged in pairs, and one without a bridge has none up: of them only those that have some are compared.
    Source: https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/dcgm-error-codes.html
    """
    linked = [gpu for gpu in driver.gpus.get() or () if gpu.nvlinks is not None]
    compared = [gpu for gpu in linked if gpu.nvlinks or "SXM" in (gpu.name or "")]
    most = {gpu.name: max(one.nvlinks or 0 for one in compared if one.name == gpu.name) for gpu in compared}
    if not any(most.values()):
        return None
    seen = Evidence(driver.gpus.source, "; ".join(f"GPU {gpu.index}: {gpu.nvlinks} up" for gpu in linked))
    short = [gpu for gpu in compared if (gpu.nvlinks or 0) < most[gpu.name]]
    if not short:
        return passed("Every GPU has as many NVLinks up as the others of its kind", seen)
    first = short[0]
    text = (
        "See which links are down, and reset all GPUs together, or reboot. One that stays down is the maker's matter."
    )
    remedy = Remedy(text, as_root(system, command("nvidia-smi", "nvlink", "-s")), Disturbs.RUNNING_CONTAINERS)
    message = f"GPU {first.index} has {first.nvlinks} NVLinks up, and others of its kind {most[first.name]}."
    return warned(message, seen, remedy=remedy)


def _behind_switches(system: System, pci: Pci) -> Evidence | None:
    """What shows that these GPUs hang on switches that this host sets up. A virtual machine's hypervisor may do it."""
    switches = pci.switches.get()
    if switches:
        return Evidence(pci.switches.source, f"NVSwitch {', '.join(switches)}")
    boards = [gpu for gpu in pci.gpus.value or () if has_nvlink5(gpu.device)]
    if len(boards) < 2 or system.machine.value == "vm":
        return None
    return Evidence(pci.gpus.source, f"{len(boards)} GPUs with NVLink 5, whose switches are not on the PCI bus")


def _fabric_states(driver: Driver) -> set[str]:
    return {gpu.fabric for gpu in driver.gpus.value or () if gpu.fabric}


def _fabric(driver: Driver) -> Evidence:
    told = (f"GPU {gpu.index}: {gpu.fabric}" for gpu in driver.gpus.value or () if gpu.fabric)
    return Evidence(driver.gpus.source, "; ".join(told))


@check("driver.fabric-state")
def fabric_state(system: System, driver: Driver, services: Services) -> Judgement | None:
    """A GPU with NVLink switches runs CUDA once it has joined the fabric: "Error 802, system not yet initialized".

    In racks (GB200, GB300) the switch trays set it up, and nvidia-imex shares memory between the nodes.
    Source: https://docs.nvidia.com/multi-node-nvlink-systems/
    """
    gpus = [gpu for gpu in driver.gpus.get() or () if gpu.fabric]
    if not gpus:
        return None
    out = [gpu for gpu in gpus if gpu.fabric != FABRIC_READY]
    if not out:
        return passed("Every GPU has joined the NVLink fabric", _fabric(driver))
    text = "Whatever sets up the switches has to end first: the fabric manager here, or the rack's switch trays."
    remedy = Remedy(text, as_root(system, command("nvidia-smi", "-q", Shell.PIPE, "grep", "-A4", "Fabric")))
    message = f"GPU {out[0].index} has not joined the NVLink fabric ({out[0].fabric}): CUDA fails with error 802."
    return failed(message, _fabric(driver), _state(services.fabric_manager), remedy=remedy)


@check("driver.imex")
def imex(system: System, driver: Driver, services: Services) -> Judgement | None:
    """In a rack with one NVLink domain, nvidia-imex lets programs on several nodes share the GPUs' memory.

    Within one node nothing needs it. In Kubernetes a ComputeDomain of NVIDIA's DRA driver runs it, and not the host.
    Source: https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/
    """
    racks = [gpu for gpu in driver.gpus.value or () if gpu.name and MULTI_NODE.search(gpu.name)]
    if not racks:
        return None
    service = services.imex.get()
    if service is None or service.state != "failed":
        return passed("nvidia-imex has not failed", _state(services.imex))
    commands = as_root(system, _log(IMEX), command("systemctl", "restart", IMEX))
    remedy = Remedy("See why (its nodes are in /etc/nvidia-imex/nodes_config.cfg), then start it again.", commands)
    message = "nvidia-imex has failed: programs on several nodes cannot share GPU memory."
    return warned(message, _state(services.imex), remedy=remedy)


@check("driver.vgpu-licence")
def vgpu_licence(system: System, licence: Licence, services: Services) -> Judgement | None:
    """A virtual GPU without a licence slows down after a while, and then lets no CUDA program start.

    Source: https://docs.nvidia.com/vgpu/latest/grid-licensing-user-guide/index.html
    """
    status = licence.status.get()
    if status is None:
        return None
    if status.lower().startswith("licensed"):
        return passed("The virtual GPU has its licence", licence.status)
    seen = (licence.status, licence.token, licence.server, _state(services.gridd))
    restart = as_root(system, command("systemctl", "restart", GRIDD), _log(GRIDD))
    if licence.token.value is None and licence.server.value is None:
        text = (
            "Put the licence server's client configuration token into /etc/nvidia/ClientConfigToken, and restart gridd."
        )
        return failed(
            "The virtual GPU has no licence, and no token to get one by.", *seen, remedy=Remedy(text, restart)
        )
    text = "See why gridd gets none: the server, its port 443 (or 7070), this machine's clock."
    return failed(f"The virtual GPU has no licence ({status}).", *seen, remedy=Remedy(text, restart))


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


def _mig(driver: Driver, gpus: list[NvmlGpu]) -> Evidence:
    return Evidence(driver.gpus.source, "; ".join(f"GPU {gpu.index}: {gpu.mig_devices} MIG devices" for gpu in gpus))
