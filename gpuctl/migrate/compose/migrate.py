"""Compose files that belong together, rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuctl.engines.yaml.places import Kind, Node, parse
from gpuctl.engines.yaml.text import below
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import wider
from gpuctl.migrate.compose.legacy import (
    CAPABILITIES,
    NO_GPUS,
    VISIBLE,
    Evidence,
    Piece,
    driver_volumes,
    evidence,
    mounts,
    variables,
)
from gpuctl.migrate.compose.requests import DEPLOY, CannotAsk, ComposeTarget, Wanted, requests, wanted
from gpuctl.migrate.compose.services import V1_ONLY, VARIABLE, Body, ComposeFile, layers
from gpuctl.migrate.draft import Draft, Source, naming
from gpuctl.migrate.migration import ALL, Change, Gpus, Left, Migration
from gpuctl.migrate.tree import Place

_WHY_VOLUME = "no service has the driver's volume any more"
_KEEP_FEWER = "the request that is here names other GPUs than those that are mapped by hand"
_KEEP_SHARED = "another service has this mapping and asks for no GPU"
_WHY_CAPABILITIES = "Compose 2 refuses a request without capabilities"
_WHY_LONG = "the short form is cut at the colon of a MIG device's name"
_KEEP_ZERO = "`docker compose config` drops it, and without it all GPUs are asked for: take the request away"
_CUT_OFF = re.compile(r"nvidia\.com/gpu=[^:=]+:[^:=]+")
_KEEP_SUM = "a later file asks for other GPUs, and requests add up"
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_OLD_FORMATS = re.compile(r"2(?:\.[0-2])?")


@dataclass(frozen=True)
class Asked:
    """What a service asks for in the ways of old, up to one of its layers, and what it asks for in the modern ones."""

    old: Gpus | None
    modern: tuple[Gpus, ...]
    by_runtime: bool = False


class _Service:
    """A service in one of the files, with all that says what it is up to there."""

    def __init__(self, name: str, bodies: tuple[Body, ...], seen: Mapping[int, Evidence]) -> None:
        self.name, self.body = name, bodies[-1]
        self.own = seen[id(self.body.node)]
        self.before = _asked(bodies[:-1], seen)
        self.now = _asked(bodies, seen)


def migrated(sources: Sequence[Source], target: ComposeTarget = ComposeTarget.COMPOSE) -> tuple[Migration, ...]:
    """Returns the files, the first one the base and each later one an override, for `target`. Raises NotAccepted."""
    files = [_file(read) for read in sources]
    seen: dict[int, Evidence] = {}
    for file in files:
        root = Body(file.draft, file.root)
        volumes = {name: place.written for name, place in driver_volumes(root).items()}
        seen |= {id(body.node): evidence(body, volumes) for body in file.services.values()}
    services = [
        _Service(name, layers(files, number, name), seen) for number, file in enumerate(files) for name in file.services
    ]
    kept = {service.name: why for service in services if (why := _keeps(service, target))}
    shared = _shared(services)
    for service in services:
        _rewrite(service, kept.get(service.name), target, shared)
    for file in files:
        for body in file.services.values():
            _mend_requests(body)
        _without_volumes(file)
    return tuple(_finished(file, target) for file in files)


def _file(read: Source) -> ComposeFile:
    with naming(read.path):
        return ComposeFile(Draft(read))


def _asked(bodies: Sequence[Body], seen: Mapping[int, Evidence]) -> Asked:
    """The GPUs of the layers together: the last runtime and the last variable count, devices and requests add up."""
    found = [seen[id(body.node)] for body in bodies]
    runtime = next((one.runtime for one in reversed(found) if one.runtime is not None), None)
    visible = next((one.visible for one in reversed(found) if one.visible is not None), None)
    devices = tuple(dict.fromkeys(gpu for one in found for gpu in one.gpus))
    modern = tuple(each for body in bodies for each in requests(body))
    if runtime != "nvidia" and not any(one.by_hand for one in found):
        return Asked(None, modern)
    named = tuple(part for part in (visible or "").split(",") if part) if runtime == "nvidia" else ()
    ids = tuple(dict.fromkeys((*(() if visible in NO_GPUS else named), *devices)))
    parts = frozenset(part for one in found for part in one.capabilities)
    words = wider(parts) if not parts <= set(",".join(one.widened for one in found).split(",")) else ()
    return Asked(Gpus((ALL,) if ALL in ids or not ids else ids, None, words), modern, runtime == "nvidia")


def _keeps(service: _Service, target: ComposeTarget) -> str:
    """Why a service stays as it is in all files, "" where it need not."""
    if service.now.old is None:
        return ""
    if service.own.blocks:
        return next(one.why for one in service.own.kept if one.blocks)
    try:
        if target is not ComposeTarget.RUNTIME and not service.now.modern:
            _request(service, target)
    except CannotAsk as why:
        return str(why)
    if not _is_covered(service):
        return _KEEP_FEWER
    return _KEEP_SUM if _is_more(service) else ""


def _is_more(service: _Service) -> bool:
    """Whether a request of this layer, which took the runtime's place, would come beside one for more GPUs."""
    before = service.before
    own = service.now.modern[len(before.modern) :]
    if not before.by_runtime or before.old is None or before.modern or not own:
        return False
    named = {id for one in own for id in (one.ids if one.count is None else ())}
    return ALL not in named and not set(before.old.ids) <= named


def _is_covered(service: _Service) -> bool:
    """Whether the requests that are there bring the GPUs that are mapped by hand; a runtime's are theirs anyway."""
    modern, mapped = service.now.modern, set(service.own.gpus)
    if not modern or not mapped:
        return True
    if any(one.ids == (ALL,) and one.count is None for one in modern):
        return True
    named = {id for one in modern for id in one.ids}
    first = {str(number) for one in modern for number in range(one.count or 0)}
    return mapped <= named or mapped == first


def _request(service: _Service, target: ComposeTarget) -> Wanted | None:
    """What the service's own layer has to ask for beside what is before it. Raises CannotAsk."""
    old, before = service.now.old, service.before.old
    if old is None or service.now.modern or old == before:
        return None
    if before is None:
        return wanted(old, target, instead=False)
    more = tuple(one for one in old.ids if one not in before.ids)
    if set(before.ids) < set(old.ids) and ALL not in old.ids:
        return wanted(Gpus(more, None, old.capabilities), target, instead=False)
    return wanted(old, target, instead=True)


def _shared(services: Iterable[_Service]) -> set[int]:
    """The mappings that are merged into services which ask for no GPU, and so cannot hold a request."""
    return {
        id(one)
        for service in services
        if service.now.old is None and not service.now.modern
        for one in service.body.draft.tree.chain(service.body.node)
    }


def _rewrite(service: _Service, kept: str | None, target: ComposeTarget, shared: set[int]) -> None:
    draft, own = service.body.draft, service.own
    if service.now.old is None or not (own.pieces or own.kept):
        return
    holders = {id(piece.place.holder): piece.place.holder for piece in own.pieces}
    if kept is None and shared & set(holders):
        kept = _KEEP_SHARED
    if kept is not None:
        for one in own.kept:
            draft.leave(one.node, one.why)
        if not own.blocks and own.pieces:
            draft.leave(own.pieces[0].place.written, kept)
        return
    for one in own.kept:
        draft.leave(one.node, one.why)
    if target is ComposeTarget.RUNTIME:
        _with_runtime(service)
        return
    request = _request(service, target)
    if request and not _ask(service, request):
        return
    for piece in own.pieces:
        _take(draft, piece)


def _take(draft: Draft, piece: Piece) -> None:
    if piece.rest is None:
        draft.remove(piece.place, piece.why)
    elif piece.place.holder.keys:
        draft.replace(piece.place, piece.place.holder.keys[piece.place.index].value, piece.rest, piece.why)
    else:
        name = piece.place.text.partition("=")[0]
        draft.replace(piece.place, None, f"{name}={piece.rest}", piece.why)


def _ask(service: _Service, request: Wanted) -> bool:
    """Adds a request to the mapping that holds the old ways. Returns whether there is a place for it."""
    draft, why = service.body.draft, f"it asks for the same GPUs: {_named(service.now.old)}"
    holder = _home(service)
    path, value = request.path, request.value
    while len(path) > 1 and (place := _own(holder, path[0])) is not None:
        if place.written.kind is not Kind.MAPPING:
            draft.leave(place.written, "gpuctl cannot add a request to it", path[0])
            return False
        holder, path = place.written, path[1:]
    place = _own(holder, path[0])
    if place is None:
        inherited = holder is service.body.node and draft.tree.field(service.body.node, path[0])
        if inherited:
            draft.leave(inherited.written, f"a {path[0]} of the service's own would hide what it merges", path[0])
            return False
        for key in reversed(path[1:]):
            value = {key: value}
        draft.add(holder, path[0], value, why)
    elif place.written.kind is Kind.SEQUENCE and isinstance(value, list):
        for one in value:
            draft.add(place.written, None, one, why)
    else:
        draft.leave(place.written, "gpuctl cannot add a request to it", path[0])
        return False
    return True


def _home(service: _Service) -> Node:
    """The mapping in which the request belongs: that which holds all of the old ways, or else the service's own."""
    body, tree = service.body.node, service.body.draft.tree
    holding = {
        id(one): one for one in tree.chain(body) if any(_is_in(piece.place.holder, one) for piece in service.own.pieces)
    }
    return next(iter(holding.values())) if len(holding) == 1 else body


def _is_in(holder: Node, body: Node) -> bool:
    return body.start <= holder.start and holder.end <= body.end


def _own(body: Node, key: str) -> Place | None:
    for index, name in enumerate(body.keys):
        if name.value == key:
            return Place(body, index, body.items[index])
    return None


def _named(gpus: Gpus | None) -> str:
    return "all" if gpus is None or gpus.ids == (ALL,) else ", ".join(gpus.ids)


def _with_runtime(service: _Service) -> None:
    """Has a service take GPUs by the nvidia runtime: what is mapped by hand goes, the rest stays."""
    draft, own, old = service.body.draft, service.own, service.now.old
    if not own.by_hand or old is None or service.now.modern:
        return
    why = f"the runtime brings the same GPUs: {_named(old)}"
    environment = variables(service.body)
    for piece in own.pieces:
        is_runtime = piece.place is environment.get(VISIBLE, (None,))[0] or piece.place.text == "nvidia"
        if not is_runtime and piece.place.text.partition("=")[0] != VISIBLE:
            _take(draft, piece)
    body = service.body.node
    if own.runtime != "nvidia":
        place = draft.tree.field(body, "runtime")
        if place:
            draft.replace(place, "runtime", "nvidia", why)
        else:
            draft.add(body, "runtime", "nvidia", why)
    if VISIBLE not in environment:
        _set_variable(service, VISIBLE, ",".join(old.ids), why)
    if old.capabilities and CAPABILITIES not in environment:
        _set_variable(service, CAPABILITIES, ",".join(old.capabilities), why)


def _set_variable(service: _Service, name: str, value: str, why: str) -> None:
    draft, body = service.body.draft, service.body.node
    place = draft.tree.field(body, "environment")
    if place is None:
        draft.add(body, "environment", {name: value}, why)
    elif place.value.kind is Kind.MAPPING:
        draft.add(place.value, name, value, why)
    else:
        draft.add(place.value, None, f"{name}={value}", why)


def _mend_requests(body: Body) -> None:
    """Mends requests that one Compose takes and another one refuses, or takes for something else."""
    draft, tree = body.draft, body.draft.tree
    for place in tree.entries(tree.field(body.node, *DEPLOY)):
        driver, count = tree.field(place.value, "driver"), tree.field(place.value, "count")
        if driver and driver.text == "nvidia" and not tree.field(place.value, "capabilities"):
            draft.add(place.value, "capabilities", ["gpu"], _WHY_CAPABILITIES)
        if count and count.text == "0":
            draft.leave(count.written, _KEEP_ZERO, "count: 0")
    for place in tree.entries(tree.field(body.node, "devices")):
        if _CUT_OFF.fullmatch(place.text):
            draft.replace(place, None, {"source": place.text, "target": place.text}, _WHY_LONG)


def _without_volumes(file: ComposeFile) -> None:
    """Takes the driver's volumes away once nothing uses them."""
    draft = file.draft
    used = {
        mount.source
        for body in file.services.values()
        for mount in mounts(body)
        if not draft.is_removed(mount.place) and not VARIABLE.search(mount.source)
    }
    gone = {mount.source for body in file.services.values() for mount in mounts(body)} - used
    for name, place in driver_volumes(Body(draft, file.root)).items():
        if name in gone:
            draft.remove(place, _WHY_VOLUME)


def _finished(file: ComposeFile, target: ComposeTarget) -> Migration:
    with naming(file.path):
        return _rewritten(file, target)


def _rewritten(file: ComposeFile, target: ComposeTarget) -> Migration:
    draft = file.draft
    done = draft.migration()
    if not done.changes:
        return done
    version = draft.tree.field(file.root, "version")
    if target is ComposeTarget.RUNTIME and version and _OLD_FORMATS.fullmatch(version.text):
        draft.replace(version, "version", "2.3", "the runtime of a service is known from format 2.3 on")
        return draft.migration()
    return _as_v2(file, done) if file.is_v1 else done


def _as_v2(file: ComposeFile, done: Migration) -> Migration:
    """A file of the first format, whose services get a key of their own: that format knows no request."""
    untranslatable = list(_of_v1_alone(file))
    if untranslatable:
        return Migration(done.before, done.before, (), (*done.left, *untranslatable))
    text = below(done.after, parse(done.after), "services")
    change = Change("", "services:", "the first file format knows no request for GPUs", 1)
    return Migration(done.before, text, (change, *done.changes), done.left)


def _of_v1_alone(file: ComposeFile) -> Iterator[Left]:
    """What of a file the later formats write in other ways."""
    draft = file.draft
    for body in file.services.values():
        for key, place in draft.tree.fields(body.node).items():
            if key in V1_ONLY and not draft.is_removed(place):
                yield Left(
                    key,
                    "the first file format alone knows it: bring the file to the format of today",
                    draft.line(place.written),
                )
        for mount in mounts(body):
            if _VOLUME_NAME.fullmatch(mount.source) and not draft.is_removed(mount.place):
                yield Left(mount.source, "later formats want this volume declared", draft.line(mount.place.written))
