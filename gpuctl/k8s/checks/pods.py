"""Whether pods get the GPUs that they ask for."""

from __future__ import annotations

from collections import Counter

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, named, worst_of
from gpuctl.k8s.objects import NAMED, Pod
from gpuctl.k8s.refusals import REFUSED, to_ask_for
from gpuctl.k8s.requests import gpus_in
from gpuctl.model import Remedy, Status


def _asks(pod: Pod) -> bool:
    return bool(gpus_in(pod.requests) or pod.claims)


@check("k8s.pods.pending", needs=("Pod",), of_cluster=True)
def pending(view: View) -> ClusterJudgement | None:
    """Pods that ask for GPUs wait for a node; `gpuctl k8s why` says what each of them waits for."""
    pods = [pod for pod in view.scene.cluster.pods if pod.phase == "Pending" and not pod.node and _asks(pod)]
    if not pods:
        return ClusterJudgement(Status.PASS, "No pod that asks for GPUs waits for a node")
    first = pods[0]
    remedy = Remedy("Ask why, for each.", (command("gpuctl", "k8s", "why", "-n", first.namespace, first.name),))
    names = [pod.shown for pod in pods]
    waits = "pod that asks for GPUs waits" if len(pods) == 1 else "pods that ask for GPUs wait"
    seen = tuple((pod.shown, pod.scheduled.message if pod.scheduled else "no word of a scheduler") for pod in pods)
    return ClusterJudgement(Status.WARN, f"{len(pods)} {waits} for a node: {named(names)}.", seen, remedy)


@check("k8s.pods.rejected", needs=("Pod",))
def rejected(view: View) -> ClusterJudgement | None:
    """A kubelet that refuses pods with GPUs: their owner makes a new one each time, thousands in an hour.

    The plugin offers GPUs that it cannot give, one lost GPU spoils the allocation of the others, pods name their node
    past the scheduler, no NUMA node has what topologyManagerPolicy wants of one, or shares are given singly. After a
    restart of the node it refuses what it knew before the plugin had registered: that is over where pods with GPUs have
    begun there since.
    Source: NVIDIA/k8s-device-plugin pull 1641, issue 231; kubernetes/kubernetes issues 110306, 125579
    """
    names = {node.name for node in view.nodes}
    pods = [
        pod
        for pod in view.scene.cluster.pods
        if pod.phase == "Failed" and pod.reason.startswith(REFUSED) and _asks(pod) and pod.node in names
    ]
    over = [pod for pod in pods if not to_ask_for(pod) and _taken_since(pod, view)]
    if pods and len(over) == len(pods):
        text = f"its kubelet has refused {_refused(over)}, and has taken others with GPUs since."
        removals = tuple(command("kubectl", "delete", "pod", "-n", pod.namespace, pod.name) for pod in over[:NAMED])
        why = "Delete the refused pods: those without an owner do not begin anew by themselves."
        return worst_of(Status.WARN, _by_node(over), text, "", Remedy(why, removals))
    still = [pod for pod in pods if pod not in over]
    text = f"its kubelet refuses {_refused(still)}." if still else ""
    seen = _by_node(still)
    commands = (command("kubectl", "cordon", seen[0][0]),) if seen else ()
    remedy = Remedy(
        "Cordon the node, see there what is wrong (`gpuctl doctor`), and delete the refused pods.", commands
    )
    asking = {to_ask_for(pod) for pod in still}
    if len(asking) == 1 and asking != {""}:
        remedy = Remedy(asking.pop())
    return worst_of(Status.FAIL, seen, text, "No kubelet is known to refuse pods with GPUs", remedy)


def _refused(pods: list[Pod]) -> str:
    owner = Counter(pod.owner or pod.shown for pod in pods).most_common(1)[0][0]
    reason = Counter(pod.reason for pod in pods).most_common(1)[0][0]
    return f"pods with GPUs ({reason}; {len(pods)} in all, most of {owner})"


def _by_node(pods: list[Pod]) -> list[tuple[str, str]]:
    return [(node, f"{count} pods refused") for node, count in Counter(pod.node for pod in pods).most_common()]


def _taken_since(refused: Pod, view: View) -> bool:
    """Whether its node has begun a pod with GPUs since it refused this one, and has none that it cannot give."""
    there = view.scene.on_node.get(refused.node, ())
    began = max((pod.since or 0.0 for pod in there if pod.phase == "Running" and _asks(pod)), default=0.0)
    return refused.since is not None and began > refused.since


@check("k8s.pods.lost-gpu", needs=("Pod",))
def lost_gpu(view: View) -> ClusterJudgement | None:
    """A pod that runs on a GPU which its kubelet calls unhealthy: the API tells that from 1.36 on (KEP-4680)."""
    ill = [
        (node.name, f"{pod.shown} holds {', '.join(pod.unhealthy_devices)}")
        for node in view.nodes
        for pod in view.scene.on_node.get(node.name, ())
        if pod.unhealthy_devices
    ]
    text = f"pods run on GPUs that are unhealthy ({ill[0][1]})." if ill else ""
    remedy = Remedy("Have that pod start anew, where its GPU is another one or well again.")
    return worst_of(Status.FAIL, ill, text, "No pod is known to run on an unhealthy GPU", remedy)


@check("k8s.pods.quota", needs=("Event",), of_cluster=True)
def quota(view: View) -> ClusterJudgement | None:
    """A ReplicaSet or a Job may not make its pods, as a quota leaves too few GPUs: there is no pod to see."""
    ill = {
        f"{one.subject} {one.namespace}/{one.name}": one.message
        for one in view.scene.cluster.events
        if one.reason == "FailedCreate" and "exceeded quota" in one.message and "nvidia.com/" in one.message
    }
    first = next(iter(ill), "")
    kind, _, name = first.partition(" ")
    space, _, name = name.partition("/")
    short = {"Job": "job", "ReplicaSet": "rs"}.get(kind)
    ask = (command("gpuctl", "k8s", "why", "-n", space, f"{short}/{name}"),) if short else ()
    text = "a quota of GPUs keeps it from making its pods."
    remedy = Remedy("See how much of the quota is taken.", ask)
    return worst_of(Status.WARN, ill.items(), text, "No event tells of a quota of GPUs that is used up", remedy)


@check("k8s.pods.uninvited", needs=("Pod", "RuntimeClass"))
def uninvited(view: View) -> ClusterJudgement | None:
    """A pod that sees every GPU of its node without having asked for one: the scheduler gives the same to others.

    A container under NVIDIA's runtime sees what NVIDIA_VISIBLE_DEVICES names, and images of CUDA set that to `all`.
    Pods of DaemonSets watch GPUs, and are not meant. Source: NVIDIA/k8s-device-plugin issues 61, 87, 1605
    """
    classes = {one.name for one in view.scene.cluster.runtime_classes if "nvidia" in one.handler}
    names = {node.name for node in view.gpu_nodes}
    sure, maybe = [], []
    for pod in view.scene.cluster.pods:
        if pod.node not in names or pod.ended or _asks(pod) or pod.owner.startswith("DaemonSet/"):
            continue
        if pod.sees_gpus:
            sure.append((pod.shown, f"on {pod.node}: its NVIDIA_VISIBLE_DEVICES names GPUs"))
        elif pod.runtime_class in classes:
            maybe.append((pod.shown, f"on {pod.node}: RuntimeClass {pod.runtime_class}"))
    ill = [*sure, *maybe]
    sees = "sees GPUs" if sure else "may see every GPU, by a variable of its image,"
    text = f"{sees} without having asked for one."
    remedy = Remedy(
        "Let it ask for nvidia.com/gpu, or set NVIDIA_VISIBLE_DEVICES to void; have the toolkit take no variable of"
        " unprivileged containers: accept-nvidia-visible-devices-envvar-when-unprivileged = false."
    )
    return worst_of(Status.WARN, ill, text, "No pod is known to see a GPU that it did not ask for", remedy)
