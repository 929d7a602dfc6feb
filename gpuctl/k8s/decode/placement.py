"""Where a pod may lie, by its specification or by a template's. Raises ValueError where a type is another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpuctl.host.decode import number_in, object_in, objects_in, text_in
from gpuctl.k8s.decode.values import Found, kept_text, kept_texts, labels_in
from gpuctl.k8s.fields import MEMBERS
from gpuctl.k8s.objects import NodeTerm, Placement, PodTerm, Selector, SelectorRequirement, Spread, Toleration


def _requirements(found: Found, name: str) -> Selector:
    return tuple(
        SelectorRequirement(kept_text(one, "key"), kept_text(one, "operator"), kept_texts(one, "values"))
        for one in objects_in(found, name)[:MEMBERS]
    )


def _selector(found: Found, name: str) -> Selector | None:
    if found.get(name) is None:
        return None
    selector = object_in(found, name)
    equal = (SelectorRequirement(key, "In", (value,)) for key, value in labels_in(selector, "matchLabels").items())
    return (*equal, *_requirements(selector, "matchExpressions"))


def node_terms_in(selector: Found) -> tuple[NodeTerm, ...]:
    """Returns the alternatives of a selector of nodes."""
    return tuple(
        NodeTerm(_requirements(one, "matchExpressions"), _requirements(one, "matchFields"))
        for one in objects_in(selector, "nodeSelectorTerms")[:MEMBERS]
    )


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _pod_terms(affinity: Found, name: str, namespace: str) -> tuple[PodTerm, ...]:
    terms = objects_in(object_in(affinity, name), _REQUIRED) if affinity else ()
    return tuple(
        PodTerm(_selector(one, "labelSelector"), kept_text(one, "topologyKey"), _namespaces(one, namespace))
        for one in terms[:MEMBERS]
    )


def _namespaces(term: Found, own: str) -> tuple[str, ...] | None:
    """An empty namespaceSelector selects all. Others select by labels of namespaces, which nobody lists: all, then."""
    return (kept_texts(term, "namespaces") or (own,)) if term.get("namespaceSelector") is None else None


def _spread(spec: Found) -> Iterator[Spread]:
    for one in objects_in(spec, "topologySpreadConstraints")[:MEMBERS]:
        if text_in(one, "whenUnsatisfiable") == "DoNotSchedule":
            selector = _selector(one, "labelSelector")
            least = number_in(one, "minDomains") or 1
            yield Spread(selector, kept_text(one, "topologyKey"), number_in(one, "maxSkew") or 1, least)


def placement_in(spec: Found, namespace: str) -> Placement:
    """Returns where a pod of this specification may lie."""
    affinity = object_in(spec, "affinity")
    required = object_in(affinity, "nodeAffinity").get(_REQUIRED) if affinity else None
    containers = (*objects_in(spec, "containers"), *_sidecars(spec))
    return Placement(
        labels_in(spec, "nodeSelector"),
        None if required is None else node_terms_in(object_in(object_in(affinity, "nodeAffinity"), _REQUIRED)),
        tuple(map(_toleration, objects_in(spec, "tolerations")[:MEMBERS])),
        _pod_terms(affinity, "podAffinity", namespace),
        _pod_terms(affinity, "podAntiAffinity", namespace),
        tuple(_spread(spec)),
        tuple(_ports(containers)),
    )


_NO_OBSTACLE = Placement({})


def met_by_others(spec: Found, namespace: str) -> Placement:
    """Returns of where a pod of this specification may lie only what other pods meet: whom it keeps away, its ports."""
    apart = _pod_terms(object_in(spec, "affinity"), "podAntiAffinity", namespace)
    ports = tuple(_ports(objects_in(spec, "containers")))
    return Placement({}, apart=apart, ports=ports) if apart or ports else _NO_OBSTACLE


def _sidecars(spec: Found) -> Iterator[Found]:
    return (one for one in objects_in(spec, "initContainers") if one.get("restartPolicy") == "Always")


def _ports(containers: Iterable[Found]) -> Iterator[tuple[str, str, int]]:
    for container in containers:
        for one in objects_in(container, "ports")[:MEMBERS]:
            port = number_in(one, "hostPort")
            if port:
                yield kept_text(one, "protocol") or "TCP", kept_text(one, "hostIP") or "0.0.0.0", port  # noqa: S104


def _toleration(found: Found) -> Toleration:
    operator = kept_text(found, "operator") or "Equal"
    return Toleration(kept_text(found, "key"), operator, kept_text(found, "value"), kept_text(found, "effect"))
