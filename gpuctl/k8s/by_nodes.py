"""Why a pod waits that the scheduler looks at: how all nodes stand to it, who holds what it needs, and what helps."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.command import Command, command
from gpuctl.k8s.answer import Fragments, Holding, WayIn, Why
from gpuctl.k8s.case import Case, extended
from gpuctl.k8s.fit import CHANGES, Fit, NodeFit, WouldFit, absent_class, fits
from gpuctl.k8s.notes import notes_of
from gpuctl.k8s.objects import NAMED, Pod
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import PODS, gpus_in, is_extended
from gpuctl.k8s.said import differences, last_word
from gpuctl.k8s.scene import Scene, counted


def by_nodes(pod: Pod, scene: Scene) -> Why:
    """Returns how the nodes stand to a pod that nothing else holds, and what that comes to."""
    cluster, subject = scene.cluster, f"pod {pod.shown}"
    word = last_word(pod, cluster)
    if cluster.lacks("Node"):
        text = f"Why pod {pod.name} waits cannot be told without the nodes."
        return Why(subject, "unknown", text, said=word, unknown=(cluster.lacks("Node"),))
    case = Case(pod, scene, fits(pod, scene), word)
    cause, sentence = _cause(case)
    return Why(
        subject,
        cause,
        sentence,
        case.nodes,
        tuple(_held(case)),
        tuple(_fragments(case)),
        tuple(_ways(case)),
        word,
        differences(word, case.nodes) if word else (),
        notes_of(case),
        tuple(dict.fromkeys(filter(None, map(cluster.lacks, _needed(pod))))),
    )


def _needed(pod: Pod) -> tuple[str, ...]:
    return ("Pod", "DeviceClass", "ResourceSlice", "ResourceClaim") if pod.claims or extended(pod) else ("Pod",)


def _cause(case: Case) -> tuple[str, str]:
    """The cause and a sentence: what no node can, then what others hold, then what a change would do."""
    judges = (
        _of_classes,
        _of_now,
        _of_names,
        _of_no_node,
        _of_size,
        _of_selector,
        _of_holders,
        _of_changes,
        _of_claims,
    )
    told = next(filter(None, (judge(case) for judge in judges)), None)
    return told or ("none-fits", _of_nearest(case))


def _of_nearest(case: Case) -> str:
    """That no node takes it, and what stands in the way on the node that has most of what it wants."""

    def distance(one: NodeFit) -> tuple[int, int]:
        return sum(not _size(one, name) for name in extended(case.pod)), len(one.obstacles)

    nearest = min(case.nodes, key=distance)
    why = f"on {nearest.node.name} {'; '.join(one.text for one in nearest.obstacles)}"
    return f"Pod {case.pod.name} fits on none of {_nodes(len(case.nodes))}, and no single change lets it in: {why}."


def _of_classes(case: Case) -> tuple[str, str] | None:
    absent = absent_class(case.pod, case.scene.cluster)
    text = f"Pod {case.pod.name} claims devices of DeviceClass {absent}, which is not there."
    return ("claims", text) if absent else None


def _of_now(case: Case) -> tuple[str, str] | None:
    count = case.count(Fit.NOW)
    if not count:
        return None
    name, on = case.pod.name, _nodes(count)
    if case.word and ("volume", "") in case.word.reasons:
        claims = f" ({', '.join(case.pod.volumes[:NAMED])})" if case.pod.volumes else ""
        return (
            "volume",
            f"Pod {name} would fit on {on}, but the scheduler finds its volumes{claims} out of their reach.",
        )
    if case.word is None:
        return "not-tried-yet", f"Pod {name} fits now, on {on}: the scheduler has not placed it yet."
    return "unknown", f"gpuctl counts {on} on which pod {name} fits now; the scheduler found none, and it decides."


def _of_changes(case: Case) -> tuple[str, str] | None:
    count = case.count(Fit.AFTER_CHANGE)
    return ("change", f"Pod {case.pod.name} fits on {_nodes(count)} after one change.") if count else None


def _of_claims(case: Case) -> tuple[str, str] | None:
    if case.count(Fit.UNKNOWN):
        text = "waits for devices that are given by claims: which of them fit, the scheduler alone can tell."
    elif any(one.rule == "claims" for fit in case.nodes for one in fit.obstacles):
        text = "claims more devices than any node offers."
    else:
        return None
    return "claims", f"Pod {case.pod.name} {text}"


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _of_names(case: Case) -> tuple[str, str] | None:
    if not case.missing:
        return None
    others: dict[str, int] = {}
    for one in case.nodes:
        for other, value in gpus_in(one.node.allocatable).items():
            others[other] = others.get(other, 0) + value
    there = ", ".join(f"{amount(other, value)} {other}" for other, value in others.items() if value)
    has = f" It has {there}." if there else ""
    return (
        "no-such-resource",
        f"Pod {case.pod.name} asks for {case.missing}, which no node of this cluster offers.{has}",
    )


def _of_no_node(case: Case) -> tuple[str, str] | None:
    return None if case.nodes else ("none-fits", f"Pod {case.pod.name} waits for a node: this cluster has none.")


def _of_size(case: Case) -> tuple[str, str] | None:
    """More of a resource than any node has, however empty: ill GPUs count, as they may come back.

    Of cpu and memory only nodes count that have the devices which are asked for besides.
    """
    devices = extended(case.pod)
    with_devices = [one for one in case.nodes if all(_size(one, name) for name in devices)] or case.nodes
    for name, wanted in case.pod.requests.items():
        largest = max(case.nodes if name in devices else with_devices, key=lambda one: _size(one, name))
        most = _size(largest, name)
        by_claims = (
            max((len(found) for found in case.scene.devices.values()), default=0) if name in case.scene.by_class else 0
        )
        if wanted > max(most, by_claims * 1000):
            asked, has = amount(name, wanted), f"{amount(name, most)}, on {largest.node.name}"
            one = f"one with {' and '.join(devices)}" if devices and name not in devices else "one"
            return (
                "too-large",
                f"Pod {case.pod.name} asks for {asked} {name} on one node, and the most that {one} has is {has}.",
            )
    return None


def _size(one: NodeFit, name: str) -> int:
    return max(one.node.allocatable.get(name, 0), one.node.capacity.get(name, 0))


def _of_selector(case: Case) -> tuple[str, str] | None:
    """Labels that no node has; the nearest that some have are named."""
    unmet = [next((o for o in one.obstacles if o.rule == "selector"), None) for one in case.nodes]
    if not all(unmet):
        return None
    wanted = [f"{key}={value}" for key, value in case.pod.placement.node_selector.items()]
    keys = [*case.pod.placement.node_selector, *(r.key for term in case.pod.placement.terms or () for r in term.labels)]
    has = dict.fromkeys(f"{key}={one.node.labels[key]}" for key in keys for one in case.nodes if key in one.node.labels)
    # A product whose GPUs are shared or in parts has -SHARED or -MIG-… behind its name.
    nearest = sorted(has, key=lambda label: not label.startswith(tuple(wanted)))
    there = f" There {'is' if len(has) == 1 else 'are'} {', '.join(nearest[:NAMED])}." if has else ""
    what = ", ".join(wanted) or "its node affinity"
    return "selector", f"No node is as pod {case.pod.name} wants it ({what}).{there}"


def _of_holders(case: Case) -> tuple[str, str] | None:
    waiting = case.count(Fit.WHEN_OTHERS_END)
    if not waiting:
        return None
    broken = next((part for part in _fragments(case) if part.free != "0"), None)
    if broken and _free_in_all(case, broken.resource) >= case.pod.requests[broken.resource]:
        text = f"{broken.free} {broken.resource} are free in all, never {broken.wanted} together"
        return "fragmented", f"Pod {case.pod.name} waits: {text} ({broken.most} at most, on {broken.node})."
    held, idle = _what_is_held(case)
    return "held", f"Pod {case.pod.name} waits for others to end: they hold {held} on {_nodes(waiting)}{idle}."


def _what_is_held(case: Case) -> tuple[str, str]:
    """The resources that others hold, and that the devices are free there: for want of cpu or memory they lie idle."""
    short = [{o.resource: None for o in one.obstacles} for one in case.nodes if one.fit is Fit.WHEN_OTHERS_END]
    names = dict.fromkeys(name for every in short for name in every)
    if not all(names):
        return "what it needs", ""
    devices = extended(case.pod)
    idle = f", where enough {' and '.join(devices)} is free" if devices and names.keys().isdisjoint(devices) else ""
    return f"the {(' or ' if len(short) > 1 else ' and ').join(names)} that it needs", idle


def _eligible(case: Case, resource: str) -> list[NodeFit]:
    """The nodes on which only a lack of this resource stands in the way."""
    return [
        one
        for one in case.nodes
        if one.node.allocatable.get(resource, 0) and all(o.resource == resource for o in one.obstacles)
    ]


def _free_in_all(case: Case, resource: str) -> int:
    return sum(max(case.scene.free(one.node, resource), 0) for one in _eligible(case, resource))


def _fragments(case: Case) -> Iterator[Fragments]:
    for name in extended(case.pod):
        able = _eligible(case, name)
        if able:
            most = max(able, key=lambda one: case.scene.free(one.node, name))
            free = _free_in_all(case, name)
            at_most = max(case.scene.free(most.node, name), 0)
            wanted = case.pod.requests[name]
            yield Fragments(name, amount(name, wanted), amount(name, free), amount(name, at_most), most.node.name)


def _held(case: Case) -> Iterator[Holding]:
    for one in case.nodes:
        if one.fit is Fit.WHEN_OTHERS_END:
            for name in dict.fromkeys(o.resource for o in one.obstacles if o.resource):
                for other in case.scene.holders(one.node, name):
                    many = amount(name, counted(other, name))
                    yield Holding(one.node.name, other.shown, name, many, other.since, other.priority)


_CLASSES = command("kubectl", "get", "deviceclasses")


def _ways(case: Case) -> Iterator[WayIn]:
    """Changes that let the pod in at once, the smallest first and of these the one that opens most nodes."""
    by_change: dict[WouldFit, list[str]] = {}
    for one in case.nodes:
        change = one.obstacles[0].change if one.fit is Fit.AFTER_CHANGE else None
        if change:
            by_change.setdefault(change, []).append(one.node.name)

    def size(item: tuple[WouldFit, list[str]]) -> tuple[int, int]:
        return CHANGES.index(item[0].kind), -len(item[1])

    if absent_class(case.pod, case.scene.cluster):
        yield WayIn("Install the driver that brings that class, or name one of these.", (), (_CLASSES,))
    smaller = list(_smaller(case))
    yield from (way for name, way in smaller if not is_extended(name))
    for change, names in sorted(by_change.items(), key=size):
        if change.kind != "request":  # said above, with how much there is now
            yield WayIn(change.text, tuple(names), _commands(change))
    yield from (way for name, way in smaller if is_extended(name))


def _commands(change: WouldFit) -> tuple[Command, ...]:
    return (command("kubectl", "uncordon", change.on),) if change.kind == "uncordon" else ()


def _smaller(case: Case) -> Iterator[tuple[str, WayIn]]:
    """What there is at once of a resource of which too much is asked for, where nothing else stands in the way."""
    short = dict.fromkeys(o.resource for one in case.nodes for o in one.obstacles)
    for name in (one for one in short if one in case.pod.requests and one != PODS):
        able = [one for one in case.nodes if one.obstacles and all(o.resource == name for o in one.obstacles)]
        most = max((case.scene.free(one.node, name) for one in able), default=0)
        if 0 < most < case.pod.requests[name]:
            there = tuple(one.node.name for one in able if case.scene.free(one.node, name) == most)
            asks = f"{amount(name, case.pod.requests[name])} {name}"
            text = f"Ask for {amount(name, most)} instead of {asks}, if that is enough: so many are free now."
            yield name, WayIn(text, there)
