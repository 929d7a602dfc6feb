"""Do containerd, CRI-O and Podman know the NVIDIA runtime, or find GPUs by a CDI specification, where they are used?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.engine_here import is_engine
from gpuctl.checks.layers.toolkit import WITHOUT_TOOLKIT
from gpuctl.checks.paths.node import PodEngines
from gpuctl.checks.paths.ways import is_nvidias
from gpuctl.checks.remedies import as_root, install_runtime, register_with_k0s
from gpuctl.command import command, operands
from gpuctl.compat.knowledge.cdi import CRIO_SINCE, PODMAN_SINCE
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.containerd.containerd import SELF_CONFIGURED, Containerd
from gpuctl.facts.crio import Crio, merged
from gpuctl.facts.docker.docker import RUNTIME, Docker, State
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import Disturbs, Evidence, Remedy

_CDI_SINCE = (2, 0)
"""containerd 2.0 reads CDI specifications unless it is told not to (docs/cri/config.md, enable_cdi)."""
_NOT_FOUND = ("no runtime for", "failed to find runtime handler")


@check("registration.containerd", explains=("kubelet.plugin-socket",))
def containerd(system: System, engines: PodEngines, toolkit: Toolkit, keeper: Keeper, logs: Logs) -> Judgement | None:
    """Pods get GPUs by a runtime that containerd knows, or by a CDI specification, which containerd 2.0 and later read.

    Where Kubernetes runs nothing by containerd, as beside Docker, nobody asks it, nor where the device plugin mounts
    the driver itself. containerd reads its files when it starts: https://github.com/containerd/containerd,
    docs/cri/config.md.
    """
    if keeper.driver.value in WITHOUT_TOOLKIT or not engines.by_containerd:
        return None
    containerd = engines.containerd
    has = containerd.cri.get()
    if has is None:
        return None
    reads_cdi = containerd.release >= _CDI_SINCE if has.cdi is None else has.cdi
    seen = Evidence(containerd.cri.source, f"runtimes: {', '.join(sorted(has.runtimes)) or 'none'}")
    remedy = _register(system, containerd)
    return _judge(containerd.title, has.runtimes, seen, toolkit if reads_cdi else None, logs, remedy)


def _register(system: System, containerd: Containerd) -> Remedy:
    """How this containerd learns of the runtime. K3s and RKE2 look for its program whenever they start.

    Source: https://docs.k3s.io/advanced#nvidia-container-runtime
    """
    title, unit = containerd.title, containerd.unit.value
    if containerd.flavour.value == "k0s":
        return register_with_k0s(system, containerd)
    if containerd.flavour.value not in SELF_CONFIGURED:
        text = f"Register the runtime; {title} takes it up at its next start, which --restart has it do."
        return install_runtime(system, text, "--engine", "containerd")
    text = f"{title} registers it by itself whenever it starts: restart it, now that the toolkit is there; pods run on."
    remedy = install_runtime(system, text, "--engine", "containerd", "--restart")
    by_hand = as_root(system, command("systemctl", "restart", *operands(unit.name))) if unit else ()
    return replace(remedy, by_hand=by_hand, disturbs=Disturbs.NEW_CONTAINERS)


@check("registration.crio", explains=("kubelet.plugin-socket",))
def crio(system: System, crio: Crio, toolkit: Toolkit, logs: Logs) -> Judgement | None:
    """Pods get GPUs by a runtime that CRI-O knows, by a CDI specification, which CRI-O 1.24 and later read, or a hook.

    The hook is what the GPU Operator registers with OpenShift's CRI-O.

    What CRI-O goes by it tells on its socket; where it does not, its files say what it takes up when it starts.
    Source: https://github.com/cri-o/cri-o, docs/crio.conf.5.md.
    """
    if crio.process.get() is None:
        return None
    config = crio.daemon.value or merged(crio.files.get() or ())
    programs = {name: str(entry.get("runtime_path", "")) for name, entry in config.runtimes.items()}
    reads_cdi = compare(leading(crio.version.value or "") or "0", CRIO_SINCE) >= 0
    source = crio.daemon.source if crio.daemon.value else crio.files.source
    seen = Evidence(source, f"runtimes: {', '.join(sorted(programs)) or 'none'}")
    if crio.hooks.value and not any(_is_ours(name, program) for name, program in programs.items()):
        return passed("CRI-O has the toolkit's OCI hook", crio.hooks)
    remedy = install_runtime(system, "Register the runtime; no container is stopped.", "--engine", "crio")
    return _judge("CRI-O", programs, seen, toolkit if reads_cdi else None, logs, remedy)


@check("registration.crio-restart")
def crio_restart(system: System, crio: Crio) -> Judgement | None:
    """CRI-O runs pods by the runtimes that its files named when it started; newer ones it only lists, after a reload.

    A pod that asks for one of those fails: "failed to find runtime handler". Running containers live on through a
    restart. Source: https://github.com/cri-o/cri-o/issues/10202; seen on 1.36.3.
    """
    process, lists = crio.process.get(), crio.daemon.value.runtimes if crio.daemon.value else {}
    ours = next((name for name, entry in lists.items() if _is_ours(name, str(entry.get("runtime_path")))), None)
    named = (file for file in crio.files.value or () if ours in file.runtimes)
    newest = max(named, key=lambda file: file.changed or 0.0, default=None)
    if process is None or newest is None or newest.changed is None:
        return None
    seen = Evidence(newest.path, f"changed {newest.changed - process.started:+.0f} s after CRI-O started")
    if newest.changed < process.started:
        return passed(f"CRI-O has started since the runtime {ours} was registered", seen)
    commands = as_root(system, command("systemctl", "restart", "crio"))
    remedy = Remedy("Restart CRI-O when it suits; running containers live on.", commands, Disturbs.NEW_CONTAINERS)
    message = f"CRI-O runs since before {newest.path} was changed: pods by the runtime {ours} may not start yet."
    return warned(message, seen, remedy=remedy)


def _judge(
    title: str,
    programs: Mapping[str, str | None],
    seen: Evidence,
    cdi: Toolkit | None,
    logs: Logs,
    remedy: Remedy,
) -> Judgement:
    """`cdi`: where the specifications are that the engine reads, None where it reads none."""
    ours = next((name for name, program in programs.items() if _is_ours(name, program)), None)
    if ours:
        return passed(f"{title} has the runtime {ours}", seen)
    asked = _asked(logs.kubelet.value or ())
    if asked:
        message = f"Pods ask for a runtime that {title} does not have."
        return failed(message, seen, Evidence(logs.kubelet.source, asked), remedy=remedy)
    found = cdi.cdi.get() if cdi else None
    if cdi and found and found.in_effect():
        return passed(f"{title} finds the GPUs in a CDI specification", cdi.cdi)
    return failed(f"{title} has no runtime called {RUNTIME}: pods get no GPU.", seen, remedy=remedy)


def _is_ours(name: str, program: str | None) -> bool:
    return name == RUNTIME or is_nvidias(program)


def _asked(lines: Iterable[str]) -> str | None:
    return next((line for line in lines if RUNTIME in line and any(words in line for words in _NOT_FOUND)), None)


@check("registration.podman")
def podman(system: System, docker: Docker, engines: PodEngines, podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Podman takes GPUs as the devices that a CDI specification names (podman run --device nvidia.com/gpu=all).

    The toolkit's OCI hook is the older way. Beside Docker, and beside what runs a node's pods, nobody need mean Podman.
    Source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
    """
    if podman.program.value is None or is_engine(docker) or docker.state.value is State.ELSEWHERE:
        return None
    if engines.run_pods:
        return None
    cdi, version = toolkit.cdi.get(), leading(podman.version.get() or "")
    is_too_old = bool(version) and compare(version, PODMAN_SINCE) < 0
    if cdi and cdi.in_effect() and not is_too_old:
        return passed("Podman finds the GPUs in a CDI specification", toolkit.cdi)
    if podman.hooks.value:
        return passed("Podman has the toolkit's OCI hook", podman.hooks)
    if is_too_old:
        remedy = Remedy(f"Upgrade Podman to {PODMAN_SINCE} or later: this one takes no CDI devices.")
        return failed(f"Podman {version} takes no CDI devices.", podman.version, remedy=remedy)
    remedy = install_runtime(system, "Write a CDI specification; no container is stopped.", "--engine", "podman")
    return failed("Podman finds no GPU: there is no CDI specification.", toolkit.cdi, remedy=remedy)
