"""What gpuctl keeps of a cluster's objects: names, numbers and states.

No environment, arguments, annotations or secrets. Amounts of a resource are in thousandths, times in seconds since the
epoch.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.frozen import dataclass

Resources = Mapping[str, int]
ENDED = ("Succeeded", "Failed")
NAMED = 3
"""Of many things, so many are named in a sentence."""
DEFAULT_SCHEDULER = "default-scheduler"


VISIBLE = "NVIDIA_VISIBLE_DEVICES"
"""The variable by which a container under NVIDIA's runtime is told its GPUs."""
PLUGIN_SETTINGS = ("DP_DISABLE_HEALTHCHECKS", "DEVICE_LIST_STRATEGY", "PASS_DEVICE_SPECS", "CONFIG_FILE")
"""Variables by which NVIDIA's device plugin is set up, and no others are kept of a DaemonSet."""


@dataclass(frozen=True)
class Taint:
    """What keeps pods off a node that do not tolerate it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}{'=' + self.value if self.value else ''}:{self.effect}"


@dataclass(frozen=True)
class Toleration:
    """Which taints a pod puts up with. An empty key means all, an empty effect every one."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True)
class SelectorRequirement:
    """What a label, or a field, has to be."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        values = ", ".join(self.values)
        single = self.operator == "In" and len(self.values) == 1
        return f"{self.key}={values}" if single else f"{self.key} {self.operator} {values}".rstrip()


Selector = tuple[SelectorRequirement, ...]
"""All of them have to hold; none selects everything."""


@dataclass(frozen=True)
class NodeTerm:
    """One of the alternatives of a required node affinity."""

    labels: Selector
    fields: Selector


@dataclass(frozen=True)
class PodTerm:
    """Pods near which a pod has to be, or may not be. `namespaces` None: those of all; `selector` None: no pod."""

    selector: Selector | None
    topology_key: str
    namespaces: tuple[str, ...] | None


@dataclass(frozen=True)
class Spread:
    """How evenly pods have to lie over the values of a node label."""

    selector: Selector | None
    topology_key: str
    max_skew: int
    min_domains: int


@dataclass(frozen=True)
class Placement:
    """Where a pod may lie: all that its specification requires besides resources.

    `terms` None: there is no required node affinity. `ports` are (protocol, address, port) of the host.
    """

    node_selector: Mapping[str, str]
    terms: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    near: tuple[PodTerm, ...] = ()
    apart: tuple[PodTerm, ...] = ()
    spread: tuple[Spread, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True)
class ClusterNode:
    """A node as it last reported itself. `heartbeat` None: it never did."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    cordoned: bool
    capacity: Resources
    allocatable: Resources
    ready: str
    ready_reason: str
    heartbeat: float | None
    kubelet: str
    machine_id: str
    """As gpuctl alone knows the machine: gpuctl.host.machine_id."""
    boot_id: str
    engine: str
    """The container engine and its version: containerd://1.7.27."""
    handlers: tuple[str, ...]
    """The handlers that its engine has; none where it does not tell (containerd 2.0, CRI-O 1.31 and later do)."""
    system: str
    """Its operating system, as the kubelet calls it."""


@dataclass(frozen=True)
class PodClaim:
    """A claim by the name that containers use. `claim` None: it is still to be made from the template."""

    name: str
    claim: str | None
    template: str | None


@dataclass(frozen=True)
class Scheduled:
    """The pod's condition PodScheduled where it does not hold: what the scheduler last said of it."""

    reason: str
    message: str
    since: float | None


@dataclass(frozen=True)
class Pod:
    """A pod. `requests` is what the scheduler counts for it; `oddities` are sentences on what it asks for wrongly.

    `since`: when its kubelet took it up, else when it was made. `served_by_claim` are resources that a device class
    serves in its case, not the node's own count. `waiting` are containers that do not run, with the reason.
    `claims_of_containers` are the names that its containers use. Of plain pods only what has no default is kept.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    owner: str
    phase: str
    node: str
    priority: int
    since: float | None
    requests: Resources
    placement: Placement
    oddities: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    nominated: str = ""
    scheduler: str = DEFAULT_SCHEDULER
    preempts: bool = True
    gates: tuple[str, ...] = ()
    claims: tuple[PodClaim, ...] = ()
    claims_of_containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    runtime_class: str = ""
    scheduled: Scheduled | None = None
    waiting: tuple[tuple[str, str], ...] = ()
    unhealthy_devices: tuple[str, ...] = ()
    served_by_claim: tuple[str, ...] = ()
    sees_gpus: bool = False
    """Whether a container's variable NVIDIA_VISIBLE_DEVICES names GPUs: of the environment nothing else is kept."""
    complaints: tuple[str, ...] = ()
    """What the kubelet says of containers that do not start."""
    containers: tuple[tuple[str, Resources], ...] = ()
    """Their names, and the devices that each asks for, without those of init containers."""
    initializing: str = ""
    """The init container that its others wait for, "" where they wait for none."""

    @property
    def ended(self) -> bool:
        """Whether it holds nothing any more."""
        return self.phase in ENDED

    @property
    def shown(self) -> str:
        """Its name for people."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ClusterEvent:
    """What a component said of an object: `subject` is its kind and `name` its name."""

    subject: str
    namespace: str
    name: str
    reason: str
    message: str
    count: int
    last: float | None


@dataclass(frozen=True)
class Quota:
    """How much a namespace may ask for, and how much of it is taken."""

    namespace: str
    name: str
    hard: Resources
    used: Resources


@dataclass(frozen=True)
class DaemonSet:
    """A pod for each node: whose images and which nodes it is meant for, and how many of its pods are ready."""

    namespace: str
    name: str
    images: tuple[str, ...]
    placement: Placement
    runtime_class: str
    desired: int
    ready: int
    updated: int
    folders: tuple[str, ...]
    """Folders of the node that it mounts."""
    settings: Mapping[str, str]
    """Of the environment only PLUGIN_SETTINGS."""


@dataclass(frozen=True)
class RuntimeClass:
    """A name for a handler of the container engine."""

    name: str
    handler: str
    node_selector: Mapping[str, str]


@dataclass(frozen=True)
class DeviceClass:
    """A name for devices. `resource`: the extended resource in whose place it serves."""

    name: str
    resource: str


@dataclass(frozen=True)
class Slice:
    """Devices that a driver offers, and what it says of the first. `node` "": not those of one node.

    `tainted`: by device the key of a taint with which no claim is given it.
    """

    name: str
    node: str
    driver: str
    pool: str
    devices: tuple[str, ...]
    tainted: Mapping[str, str]
    product: str
    capability: str
    driver_version: str


@dataclass(frozen=True)
class Claim:
    """Devices that are asked for. `wanted` None: how many, or which, only the scheduler can tell.

    `allocated` are (driver, pool, device); `nodes` where an allocated claim can be used, None where it says nothing.
    """

    namespace: str
    name: str
    classes: tuple[str, ...]
    wanted: int | None
    allocated: tuple[tuple[str, str, str], ...]
    nodes: tuple[NodeTerm, ...] | None


@dataclass(frozen=True)
class Job:
    """A job, and whether it is suspended."""

    namespace: str
    name: str
    suspended: bool


@dataclass(frozen=True)
class VolumeClaim:
    """A PersistentVolumeClaim and its phase."""

    namespace: str
    name: str
    phase: str


@dataclass(frozen=True)
class OperatorState:
    """What NVIDIA's operator says of one of its own objects: ready, notReady, ignored or disabled, and why.

    All are "" where it has said nothing. `reason` and `message` are of the error that holds, else of its being ready.
    """

    state: str
    reason: str
    message: str


@dataclass(frozen=True)
class ClusterPolicy:
    """What NVIDIA's operator is to bring to nodes: a driver, the toolkit, the device plugin.

    `drains`: whether an upgrade of the driver may drain a node, None where the policy does not say.
    """

    name: str
    said: OperatorState
    driver: bool
    toolkit: bool
    plugin: bool
    drains: bool | None


@dataclass(frozen=True)
class NvidiaDriver:
    """A driver that the operator is to bring to some nodes (NVIDIADriver)."""

    name: str
    said: OperatorState


@dataclass(frozen=True)
class PodLog:
    """The end of a pod's log, without secrets; `lacking`: the rule without which it could not be read."""

    namespace: str
    name: str
    lines: tuple[str, ...]
    lacking: str


Thing = (
    ClusterNode
    | Pod
    | ClusterEvent
    | Quota
    | DaemonSet
    | RuntimeClass
    | DeviceClass
    | Slice
    | Claim
    | Job
    | VolumeClaim
    | ClusterPolicy
    | NvidiaDriver
    | PodLog
)  # what a list may hold
