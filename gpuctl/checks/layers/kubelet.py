"""On a node of Kubernetes: does the kubelet know the GPUs that are here, and are they given to containers for good?

From files and connections alone. Nothing is said of a host without a kubelet.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.checks.engine import Judgement, check, failed, passed, undetermined, warned
from gpuctl.checks.remedies import as_root
from gpuctl.command import Command, Shell, command
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.kubelet.checkpoint import VENDOR, Checkpoint
from gpuctl.facts.kubelet.kubelet import PLUGINS, Kubelet, PluginSocket
from gpuctl.facts.kubelet.process import ROOT
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Fact, Remedy
from gpuctl.regex import regex

_WHOLE = regex(r"(GPU-[0-9a-fA-F-]{36})(?:::\d{1,4})?")
"""What NVIDIA's plugin calls a GPU; with a number behind it where it is shared."""
_GKE = regex(r"nvidia(\d{1,4})(?:/vgpu\d{1,4})?")
"""What GKE's plugin does: by its device node."""
_ENDED = regex(r"[lL]istAndWatch ended unexpectedly for device plugin.{0,300}nvidia\.com/")
_REGISTERED = regex(r"Got registration request from device plugin.{0,300}nvidia\.com/")
_REFUSED = regex(
    r"no healthy devices present.{0,80}nvidia\.com/|unregistered device nvidia\.com/"
    r"|number of devices unavailable for nvidia\.com/"
)
OFTEN = 5
"""Ends of a plugin's stream within a day: an upgrade makes one or two."""


def _is_node(kubelet: Kubelet) -> bool:
    """Whether there is a kubelet to be judged, and one whose folder may be looked into: else one check says so."""
    return bool(kubelet.process.value) and kubelet.registration.unknown is None


def _alive(socket: Fact[PluginSocket]) -> Evidence:
    one = socket.value
    return Evidence(socket.source, "no such socket" if one is None else _state(one))


def _state(one: PluginSocket) -> str:
    if one.alive is None:
        return f"not known: {one.why}"
    return "answers" if one.alive else "nobody listens"


def _restart(kubelet: Kubelet) -> Command:
    process = kubelet.process.value
    return command("systemctl", "restart", process.unit if process and process.unit else "kubelet")


def _plugin_pods() -> Command:
    """What shows the plugin's pods, whatever chart they are of; a node's name need not be its host's."""
    return command("kubectl", "get", "pods", "-A", "-o", "wide", Shell.PIPE, "grep", "device-plugin")


@check("kubelet.running", explains=("kubelet.registration", "kubelet.plugin-socket", "kubelet.gpus"))
def running(system: System, kubelet: Kubelet) -> Judgement | None:
    """A host with a kubelet's files is, or was, a node of Kubernetes: without the kubelet no pod starts there."""
    process, checkpoint = kubelet.process.get(), kubelet.checkpoint
    if process:
        return passed("The kubelet runs", Evidence(kubelet.process.source, f"{process.name}, files in {process.root}"))
    was = checkpoint.value is not None or checkpoint.unknown is not None
    if not kubelet.folder.value or not was:
        return None
    remedy = Remedy(
        "If this is a node still, see why it does not run.",
        as_root(system, command("systemctl", "status", "kubelet"), command("journalctl", "-u", "kubelet", "-n", "20")),
    )
    return warned("This host has a kubelet's files, and no kubelet runs.", checkpoint, remedy=remedy)


@check("kubelet.registration", explains=("kubelet.plugin-socket", "kubelet.gpus"))
def registration(system: System, kubelet: Kubelet) -> Judgement | None:
    """A device plugin registers at kubelet.sock in /var/lib/kubelet/device-plugins, whatever the kubelet's --root-dir.

    Source: https://kubernetes.io/docs/reference/node/kubelet-files/
    """
    if kubelet.process.value is None:
        return None
    socket = kubelet.registration.get()
    if socket and socket.alive is None:
        return undetermined(f"whether the kubelet answers at {socket.path}: {socket.why}")
    if socket and socket.alive:
        return passed("The kubelet listens for device plugins", _alive(kubelet.registration))
    remedy = Remedy("Restart the kubelet; pods run on.", as_root(system, _restart(kubelet)), Disturbs.NEW_CONTAINERS)
    message = "The kubelet runs and does not listen for device plugins: no plugin can register."
    return failed(message, _alive(kubelet.registration), remedy=remedy)


@check("kubelet.plugin-folder", explains=("kubelet.plugin-socket", "kubelet.gpus"))
def plugin_folder(kubelet: Kubelet) -> Judgement | None:
    """A plugin that serves below a --root-dir of the kubelet's is not found: its folder of plugins does not move.

    Only pod-resources and plugins_registry do. Source: https://github.com/kubernetes/kubernetes/issues/120626
    """
    process = kubelet.process.value
    if process is None or process.root == ROOT or not _is_node(kubelet):
        return None
    wrong = kubelet.elsewhere.get()
    if not wrong or kubelet.plugins.value:
        return passed("No device plugin of NVIDIA's serves where no kubelet looks", kubelet.elsewhere)
    text = f"Mount {PLUGINS} into the plugin's pod: the hostPath of its DaemonSet is to name that, not {process.root}."
    message = f"The device plugin serves at {wrong[0].path}, and kubelets look for plugins in {PLUGINS}."
    seen = Evidence(kubelet.process.source, f"--root-dir {process.root}")
    return failed(message, seen, remedy=Remedy(text, (), Disturbs.NEW_CONTAINERS))


@check("kubelet.plugin-socket", explains=("kubelet.gpus",))
def plugin_socket(kubelet: Kubelet, pci: Pci) -> Judgement | None:
    """NVIDIA's device plugin serves a socket for each resource; a kubelet removes all of them when it starts.

    A plugin that does not notice that is registered nowhere, and the node's GPUs are 0, until its pod is restarted.
    Where NVIDIA's DRA driver serves the GPUs there need be none.
    Source: https://github.com/NVIDIA/k8s-device-plugin/issues/1228
    """
    if not _is_node(kubelet) or not pci.gpus.value:
        return None
    sockets = kubelet.plugins.get() or ()
    if not sockets:
        return _no_plugin(kubelet)
    seen = [Evidence(one.path, _state(one)) for one in sockets]
    if any(one.alive for one in sockets):
        return passed("A device plugin of NVIDIA's serves", *seen)
    unsure = next((one for one in sockets if one.alive is None), None)
    if unsure:
        return undetermined(f"whether a device plugin answers at {unsure.path}: {unsure.why}")
    message = f"Nobody listens at {sockets[0].path}: the device plugin has ended."
    return failed(message, *seen, *_last(kubelet), remedy=_start_again())


def _no_plugin(kubelet: Kubelet) -> Judgement:
    none = Evidence(kubelet.plugins.source, "no socket of NVIDIA's")
    names = _offered(kubelet.checkpoint.value)
    if names:
        message = f"{', '.join(names)} was registered, and no plugin serves it: it did not register again."
        return failed(message, none, *_last(kubelet), remedy=_start_again())
    if kubelet.dra.value:
        return passed("NVIDIA's DRA driver serves here", _alive(kubelet.dra))
    remedy = Remedy("Have the device plugin, or NVIDIA's operator, run on this node.", (_plugin_pods(),))
    return warned("No device plugin of NVIDIA's has registered: pods get no GPUs here.", none, remedy=remedy)


def _start_again() -> Remedy:
    return Remedy("Restart the plugin's pod on this node.", (_plugin_pods(),), Disturbs.NEW_CONTAINERS)


def _offered(checkpoint: Checkpoint | None) -> list[str]:
    """The resources of NVIDIA's that the kubelet remembers with devices."""
    registered = checkpoint.registered.items() if checkpoint else ()
    return [name for name, devices in registered if name.startswith(VENDOR) and devices]


def _last(kubelet: Kubelet) -> tuple[Evidence, ...]:
    ends = [line for line in kubelet.log.value or () if _ENDED.search(line)]
    return tuple(Evidence(kubelet.log.source, line) for line in ends[-1:])


@check("kubelet.plugin-restarts")
def plugin_restarts(kubelet: Kubelet) -> Judgement | None:
    """A plugin that ends again and again takes the node's GPUs away for moments, in which pods are refused."""
    if not _is_node(kubelet) or kubelet.log.value is None:
        return None
    ends = [line for line in kubelet.log.value if _ENDED.search(line)]
    if len(ends) < OFTEN:
        return passed("The device plugin stays", Evidence(kubelet.log.source, f"it ended {len(ends)} times in a day"))
    remedy = Remedy("See in the log of its pod why it ends; more than one plugin of a name take turns, too.")
    message = f"The device plugin ended {len(ends)} times within a day."
    return warned(message, Evidence(kubelet.log.source, ends[-1]), remedy=remedy)


@check("kubelet.gpus")
def gpus(kubelet: Kubelet, driver: Driver) -> Judgement | None:
    """The kubelet counts the GPUs that its plugin calls healthy; one that was called ill is not taken back.

    The plugin marks a GPU after an Xid, or an event that it lost, and has no way back: its pod has to be restarted once
    the GPU is well. Source: https://github.com/NVIDIA/k8s-device-plugin, internal/rm/health.go and server.go
    """
    if not _is_node(kubelet):
        return None
    checkpoint, here = kubelet.checkpoint.get(), driver.gpus.get() or ()
    known = _known(checkpoint, here) if checkpoint else None
    if known is None:
        return None
    missing = [gpu for gpu in here if gpu.uuid and gpu.index not in known and not gpu.mig]
    count = f"{len(here) - len(missing)} of {len(here)} GPUs in NVML"
    if not missing:
        return passed("The kubelet counts every GPU that NVML has", Evidence(kubelet.checkpoint.source, count))
    ill = [gpu for gpu in missing if gpu.error]
    names = ", ".join(f"GPU {gpu.index} ({gpu.uuid})" for gpu in missing[:3])
    seen = (Evidence(kubelet.checkpoint.source, count), Evidence(driver.gpus.source, _well(missing)))
    if ill:
        remedy = Remedy("Mend that GPU first: what else is said of it here tells how.")
        return failed(f"The device plugin does not offer {names}, which NVML cannot ask.", *seen, remedy=remedy)
    text = (
        "If nothing else here speaks against the GPU, restart the plugin's pod on this node: it never takes one back."
    )
    remedy = Remedy(text, (_plugin_pods(),), Disturbs.NEW_CONTAINERS)
    return failed(f"The device plugin does not offer {names}, which NVML finds well.", *seen, remedy=remedy)


def _well(gpus: Iterable[NvmlGpu]) -> str:
    return "; ".join(f"GPU {gpu.index}: {gpu.error or 'answers'}" for gpu in gpus)


def _known(checkpoint: Checkpoint, here: Iterable[NvmlGpu]) -> set[int] | None:
    """The GPUs that are offered, whole or shared; None where what is offered has other names, as MIG devices have."""
    names = [one for name in _offered(checkpoint) for one in checkpoint.registered[name]]
    by_uuid = {found[1] for one in names if (found := _WHOLE.fullmatch(one))}
    by_node = {int(found[1]) for one in names if (found := _GKE.fullmatch(one))}
    if not by_uuid and not by_node:
        return None
    return {gpu.index for gpu in here if gpu.uuid in by_uuid or gpu.minor in by_node}


@check("kubelet.lost-gpus")
def lost_gpus(kubelet: Kubelet, driver: Driver) -> Judgement | None:
    """A pod that holds a GPU which is not here any more computes on nothing, and counts as running."""
    held, here = kubelet.held, driver.gpus.get()
    if not _is_node(kubelet) or here is None:
        return None
    whole = [(one.pod, found[1]) for one in held.get() or () for id in one.devices if (found := _WHOLE.fullmatch(id))]
    there = {gpu.uuid for gpu in here if not gpu.error}
    lost = [(pod, uuid) for pod, uuid in whole if uuid not in there]
    if any(gpu.error and not gpu.uuid for gpu in here) and lost:
        return undetermined("a GPU does not tell its UUID, and pods hold one that is not among the others'")
    if not lost:
        return passed("Every GPU that a pod holds is here", Evidence(held.source, f"{len(whole)} held"))
    pod, uuid = lost[0]
    remedy = Remedy("Have that pod start anew: it gets another GPU.", (_delete(pod),), Disturbs.RUNNING_CONTAINERS)
    return failed(f"The pod {pod} holds {uuid}, which is not here.", Evidence(held.source, uuid), remedy=remedy)


def _delete(pod: str) -> Command:
    namespace, _, name = pod.partition("/")
    return command("kubectl", "delete", "pod", "-n", namespace, name)


@check("kubelet.cpu-manager")
def cpu_manager(kubelet: Kubelet) -> Judgement | None:
    """With the static policy the kubelet updates running containers, which takes GPUs away that only a hook gave them.

    Their specification then has to name the device nodes: the plugin's passDeviceSpecs, or CDI.
    Source: https://github.com/kubernetes/kubernetes/issues/77073, https://github.com/NVIDIA/gpu-operator/issues/485
    """
    if not _is_node(kubelet) or kubelet.cpu_policy.get() != "static":
        return None
    checkpoint = kubelet.checkpoint.get()
    given = [one for one in checkpoint.given if one.resource.startswith(VENDOR)] if checkpoint else []
    if not given:
        return None
    untold = [one for one in given if not one.by]
    bare = [one for one in given if one.by == ("env",)]
    if bare:
        seen = Evidence(kubelet.checkpoint.source, f"{len(bare)} of {len(given)} were given GPUs by a variable alone")
        text = (
            "Have the plugin name the device nodes (passDeviceSpecs: true, in a privileged pod), or give GPUs by CDI."
        )
        message = "Containers lose their GPUs when the CPU manager updates them: its policy is static."
        return warned(message, kubelet.cpu_policy, seen, remedy=Remedy(text, (), Disturbs.NEW_CONTAINERS))
    if untold:
        return undetermined(f"by which way containers were given GPUs ({kubelet.checkpoint.source})")
    return passed("The CPU manager is static, and containers are given the GPUs' device nodes", kubelet.cpu_policy)


@check("kubelet.refused")
def refused(kubelet: Kubelet) -> Judgement | None:
    """A kubelet that may not get a GPU for a pod refuses it: its owner makes another, thousands in an hour.

    A registration of the plugin after the last refusal has mended it.
    """
    log = kubelet.log
    if not _is_node(kubelet) or log.value is None:
        return None
    places = [place for place, line in enumerate(log.value) if _REFUSED.search(line)]
    seen = Evidence(log.source, f"{len(places)} such lines within a day")
    if not places:
        return passed("The kubelet has refused no pod for want of a GPU", seen)
    if any(_REGISTERED.search(line) for line in log.value[places[-1] :]):
        return passed("The kubelet has refused no pod for want of a GPU since the plugin registered", seen)
    unit = log.source.rpartition(" ")[2]
    explain = command("journalctl", "-u", unit, "--since", "-1d", Shell.PIPE, "gpuctl", "explain")
    last = log.value[places[-1]]
    said = last[_found(last) :]
    message = f"The kubelet has refused pods for want of a GPU ({last.partition(' ')[0]}): {said}"
    return warned(message, Evidence(log.source, last), seen, remedy=Remedy("Have it explained.", (explain,)))


def _found(line: str) -> int:
    match = _REFUSED.search(line)
    return match.start() if match else 0
