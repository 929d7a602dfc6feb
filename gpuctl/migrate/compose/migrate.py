"""Compose files that belong together, rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gpuctl.compat.knowledge.driver_parts import ALL_CAPABILITIES
from gpuctl.engines.yaml.places import YamlKind, YamlNode, parse
from gpuctl.engines.yaml.text import below
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import WHY_ALL, wider
from gpuctl.migrate.compose.legacy import (
    CAPABILITIES,
    VISIBLE,
    LegacySigns,
    Piece,
    driver_volumes,
    entry,
    evidence,
    mounts,
    variables,
)
from gpuctl.migrate.compose.requests import DEPLOY, CannotAsk, NewRequest, requests, wanted
from gpuctl.migrate.compose.services import V1_ONLY, VARIABLE, Body, ComposeFile, layers
from gpuctl.migrate.compose.swarm import as_in_swarm, generic_requests, is_of_old_format
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.draft import Draft, FileText, naming
from gpuctl.migrate.gpus import NO_GPU, visible_names
from gpuctl.migrate.migration import ALL, Change, Gpus, Left, Migration
from gpuctl.migrate.tree import Place

_WHY_VOLUME = "no service has the driver's volume any more"
_KEEP_FEWER = "the request that is here names other GPUs than those that are mapped by hand"
_KEEP_SHARED = "another service has this mapping and asks for no GPU"
_WHY_CAPABILITIES = "Compose 2 refuses a request without capabilities"
_WHY_LONG = "the short form is cut at the colon of a MIG device's name"
_KEEP_ZERO = "`docker compose config` drops it, and without it all GPUs are asked for: take the request away"
_KEEP_COUNT = "Compose takes a number here, or all"
_COUNT = re.compile(r"\d+|all|", re.ASCII)
_OF_COMPOSE_1 = (ComposeTarget.COMPOSE, ComposeTarget.RUNTIME)
_CUT_OFF = re.compile(r"nvidia\.com/gpu=[^:=]+:[^:=]+")
_WHY_SWARM = "a swarm takes no request: the default runtime of each node, which has to be nvidia, gives the same GPUs"
_KEEP_OLD_FORMAT = "docker stack deploy reads no file of this version"
_KEEP_NO_ROOM = "gpuctl cannot add a request to it"
_KEEP_SUM = "a later file asks for other GPUs, and its request comes beside this one's"
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_OLD_FORMATS = re.compile(r"2(?:\.[0-2])?")


@dataclass(frozen=True)
class Asked:
    """What a service asks for in the ways of old, up to one of its layers, and what it asks for in the modern ones."""

    old: Gpus | None
    modern: tuple[Gpus, ...]
    by_runtime: bool = False
    whole: bool = False
    """A folder of all of the driver is mapped, and nothing says what of it is used."""


class _Service:
    """A service in one of the files, with all that says what it is up to there."""

    def __init__(
        self, bodies: tuple[Body, ...], seen: Mapping[int, LegacySigns], target: ComposeTarget, resource: str
    ) -> None:
        self.resource = resource
        self.body = bodies[-1]
        self.parts = frozenset(id(one) for body in bodies for one in body.draft.tree.chain(body.node))
        """All mappings that say something of it: what stays as it is for one service stays for each that has it."""
        self.own = seen[id(self.body.node)]
        self.before = _asked(bodies[:-1], seen, target)
        self.now = _asked(bodies, seen, target)

    def holding(self) -> tuple[YamlNode, ...]:
        """The mappings that hold the old ways: the service's own, or those that it merges."""
        chain = self.body.draft.tree.chain(self.body.node)
        places = [piece.place.written for piece in self.own.pieces] + [kept.node for kept in self.own.kept]
        return tuple(one for one in chain if any(one.start <= at.start and at.end <= one.end for at in places))


def migrated(
    sources: Sequence[FileText], target: ComposeTarget = ComposeTarget.COMPOSE, resource: str = ""
) -> tuple[Migration, ...]:
    """Returns the files, the first one the base and each later one an override, for `target`. Raises NotAccepted.

    `resource`: what the nodes of a swarm call their GPUs, "" where its services name them by a variable.
    """
    files = [_file(read) for read in sources]
    seen: dict[int, LegacySigns] = {}
    for file in files:
        root = Body(file.draft, file.root)
        volumes = {name: place.written for name, place in driver_volumes(root).items()}
        seen |= {id(body.node): _signs(body, volumes, target) for body in file.services.values()}
    services = [
        _Service(layers(files, number, name), seen, target, resource)
        for number, file in enumerate(files)
        for name in file.services
    ]
    kept = _kept(services, target)
    for service in services:
        _rewrite(service, next((kept[part] for part in service.parts if part in kept), ""), target)
    for file in files:
        for body in file.services.values():
            file.draft.keep(body.node)  # an override needs a service, and what extends one needs it too
            if target is not ComposeTarget.SWARM:
                _mend_requests(body, target)
    _without_volumes(files)
    return tuple(_finished(file, target) for file in files)


def _signs(body: Body, volumes: Mapping[str, YamlNode], target: ComposeTarget) -> LegacySigns:
    signs = evidence(body, volumes)
    return as_in_swarm(signs, body) if target is ComposeTarget.SWARM else signs


def _file(read: FileText) -> ComposeFile:
    with naming(read.path):
        return ComposeFile(Draft(read))


def _asked(bodies: Sequence[Body], seen: Mapping[int, LegacySigns], target: ComposeTarget) -> Asked:
    """The GPUs of the layers together: the last runtime and the last variable count, devices and requests add up."""
    found = [seen[id(body.node)] for body in bodies]
    runtime = next((one.runtime for one in reversed(found) if one.runtime is not None), None)
    visible = next((one.visible for one in reversed(found) if one.visible is not None), None)
    devices = tuple(dict.fromkeys(gpu for one in found for gpu in one.gpus))
    ways = generic_requests if target is ComposeTarget.SWARM else requests
    modern = tuple(each for body in bodies for each in ways(body))
    if runtime != "nvidia" and not any(one.by_hand for one in found):
        return Asked(None, modern)
    said = ALL if visible is None else visible  # as NVIDIA's images do, of which all that CUDA is in are made
    named = visible_names(said) if runtime == "nvidia" else ()
    ids = tuple(dict.fromkeys((*(() if visible in NO_GPU else named), *devices)))
    parts = frozenset(part for one in found for part in one.capabilities)
    words = wider(parts, next((one.widened for one in reversed(found) if one.widened), ""))
    whole = words == (ALL_CAPABILITIES,)  # which no request takes: the variable says it
    gpus = Gpus((ALL,) if ALL in ids or not ids else ids, None, () if whole else words)
    return Asked(gpus, modern, runtime == "nvidia", whole)


def _kept(services: Sequence[_Service], target: ComposeTarget) -> dict[int, str]:
    """Why mappings stay as they are, by their id: those of a service that has to stay, and of all that share them."""
    holding = {id(one) for service in services if service.now.old for one in service.holding()}
    kept: dict[int, str] = {}
    for service in services:
        why = _keeps(service, target)
        own = id(service.body.node) if service.now.old is None else 0
        kept |= {part: kept.get(part, why) for part in service.parts & holding if why and part != own}
    before = -1
    while before < len(kept):
        before = len(kept)
        for service in services:
            why = next((kept[part] for part in service.parts if part in kept), "") if service.now.old else ""
            kept |= {part: kept.get(part, why) for part in service.parts & holding if why}
    return kept


def _keeps(service: _Service, target: ComposeTarget) -> str:
    """Why a service stays as it is in all files, "" where it need not."""
    if service.now.old is None:
        return "" if service.now.modern else _KEEP_SHARED
    if service.own.blocks:
        return next(one.why for one in service.own.kept if one.blocks)
    try:
        if not _is_by_variable(service, target) and not service.now.modern:
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


def _request(service: _Service, target: ComposeTarget) -> NewRequest | None:
    """What the service's own layer has to ask for beside what is before it. Raises CannotAsk."""
    old, before = service.now.old, service.before.old
    if old is None or service.now.modern or old == before:
        return None
    if before is None:
        return wanted(old, target, instead=False, resource=service.resource)
    more = tuple(one for one in old.ids if one not in before.ids)
    if target is ComposeTarget.CDI and set(before.ids) < set(old.ids) and ALL not in old.ids:
        return wanted(Gpus(more), target, instead=False)
    # Never a second request beside the first: of two, Docker hands NVIDIA_VISIBLE_DEVICES of the last to the hook
    # (https://github.com/moby/moby/blob/master/daemon/nvidia_linux.go).
    return wanted(old, target, instead=True, resource=service.resource)


def _rewrite(service: _Service, kept: str, target: ComposeTarget) -> None:
    draft, own = service.body.draft, service.own
    for one in own.unsure:
        draft.leave(one.node, one.why)
    if service.now.old is None or not (own.pieces or own.kept):
        return
    for one in own.kept:
        draft.leave(one.node, one.why)
    if kept:
        if own.pieces and not own.blocks:
            draft.leave(entry(own.pieces[0].place), kept)
    elif _is_by_variable(service, target):
        _BY_VARIABLE[target](service)
    else:
        request = _request(service, target)
        if request is None or _ask(service, request):
            for piece in own.pieces:
                _take(draft, piece)
            if service.now.whole and not service.before.whole and target is not ComposeTarget.CDI:
                _add_variables(service, {CAPABILITIES: ALL_CAPABILITIES}, WHY_ALL)


def _take(draft: Draft, piece: Piece) -> None:
    if piece.rest is None:
        draft.remove(piece.place, piece.why)
    elif piece.place.holder.keys:
        draft.replace(piece.place, piece.place.holder.keys[piece.place.index].value, piece.rest, piece.why)
    else:
        draft.replace(piece.place, None, _set(piece.place, piece.place.text.partition("=")[0], piece.rest), piece.why)


def _ask(service: _Service, request: NewRequest) -> bool:
    """Adds a request to the mapping that holds the old ways. Returns whether there is a place for it."""
    same = f"it asks for the same GPUs: {_named(service.now.old)}"
    draft, why = service.body.draft, "it asks for as many GPUs, and the swarm says which" if service.resource else same
    holder = _home(service)
    path, value = request.path, request.value
    place = _own(holder, path[0])
    while place is not None and len(path) > 1 and place.written.kind is YamlKind.MAPPING:
        holder, path = place.written, path[1:]
        place = _own(holder, path[0])
    nested = value
    for key in reversed(path[1:]):
        nested = {key: nested}
    inherited = draft.tree.field(holder, path[0]) if holder is service.body.node else None
    if place is None and inherited:
        draft.leave(inherited.written, f"a {path[0]} of the service's own would hide what it merges", path[0])
        return False
    if place is None:
        draft.add(holder, path[0], nested, why)
    elif place.written.is_null or (isinstance(value, list) and _goes_whole(service, place)):
        draft.replace(place, path[0], nested, why)
    elif len(path) == 1 and place.written.kind is YamlKind.SEQUENCE and isinstance(value, list):
        for one in value:
            draft.add(place.written, None, one, why)
    else:
        draft.leave(place.written, _KEEP_NO_ROOM, path[0])
        return False
    return True


def _goes_whole(service: _Service, place: Place) -> bool:
    """Whether nothing stays of the list that an alias there stands for."""
    named = service.body.draft.tree.resolved(place.written)
    if named is place.written:
        return False
    gone = {piece.place.index for piece in service.own.pieces if piece.place.holder is named}
    return named.kind is YamlKind.SEQUENCE and len(gone) == len(named.items)


def _home(service: _Service) -> YamlNode:
    """The mapping in which the request belongs: that which holds all of the old ways, or else the service's own."""
    holding = service.holding()
    return holding[0] if len(holding) == 1 else service.body.node


def _own(body: YamlNode, key: str) -> Place | None:
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
    why = f"the runtime brings the same GPUs: {_named(old)}{f'; {WHY_ALL}' if service.now.whole else ''}"
    body = service.body.node
    place = draft.tree.field(body, "runtime")
    _take_all_but(service, place, variables(service.body).get(VISIBLE, (None,))[0])
    if place and own.runtime != "nvidia":
        draft.replace(place, "runtime", "nvidia", why)
    elif own.runtime != "nvidia":
        draft.add(body, "runtime", "nvidia", why)
    _name_by_variable(service, old, why)


def _with_default_runtime(service: _Service) -> None:
    """Has a swarm's service take GPUs by the default runtime of its node."""
    old, visible = service.now.old, variables(service.body).get(VISIBLE, (None,))[0]
    _take_all_but(service, visible)
    if old is not None and not service.now.modern:
        _name_by_variable(service, old, f"{_WHY_SWARM}{f'; {WHY_ALL}' if service.now.whole else ''}")


_BY_VARIABLE = {ComposeTarget.RUNTIME: _with_runtime, ComposeTarget.SWARM: _with_default_runtime}


def _is_by_variable(service: _Service, target: ComposeTarget) -> bool:
    return target in _BY_VARIABLE and not service.resource


def _take_all_but(service: _Service, *stay: Place | None) -> None:
    for piece in service.own.pieces:
        if not any(one and piece.place.holder is one.holder and piece.place.index == one.index for one in stay):
            _take(service.body.draft, piece)


def _name_by_variable(service: _Service, old: Gpus, why: str) -> None:
    """Has the variables say which GPUs, and what of the driver."""
    draft, environment = service.body.draft, variables(service.body)
    words = (ALL_CAPABILITIES,) if service.now.whole else old.capabilities
    wished = {VISIBLE: ",".join(old.ids), CAPABILITIES: ",".join(words)}
    for name, value in wished.items():
        place, said = environment.get(name, (None, ""))
        if place and value and said != value:
            draft.replace(place, name if place.holder.keys else None, _set(place, name, value), why)
    _add_variables(service, {key: text for key, text in wished.items() if text and key not in environment}, why)


def _set(place: Place, name: str, value: str) -> str:
    """A variable's value in a mapping, with its name in a list."""
    return value if place.holder.keys else f"{name}={value}"


def _add_variables(service: _Service, wished: Mapping[str, str], why: str) -> None:
    draft, body = service.body.draft, service.body.node
    place = draft.tree.field(body, "environment")
    if place is None and wished:
        draft.add(body, "environment", dict(wished), why)
    for name, value in wished.items() if place else ():
        if place and place.value.kind is YamlKind.MAPPING:
            draft.add(place.value, name, value, why)
        elif place:
            draft.add(place.value, None, f"{name}={value}", why)


def _mend_requests(body: Body, target: ComposeTarget) -> None:
    """Mends requests that one Compose takes and another one refuses, or takes for something else."""
    draft, tree = body.draft, body.draft.tree
    for place in tree.entries(tree.field(body.node, *DEPLOY)):
        driver, count = tree.field(place.value, "driver"), tree.field(place.value, "count")
        if driver and driver.text == "nvidia" and not tree.field(place.value, "capabilities"):
            draft.add(place.value, "capabilities", ["gpu"], _WHY_CAPABILITIES)
        if count and not _COUNT.fullmatch(count.text) and not VARIABLE.search(count.text):
            draft.leave(count.written, _KEEP_COUNT, f"count: {count.text}")
        if count and count.text == "0":
            draft.leave(count.written, _KEEP_ZERO, "count: 0")
    for place in tree.entries(tree.field(body.node, "devices")):
        if _CUT_OFF.fullmatch(place.text) and target in _OF_COMPOSE_1:
            draft.leave(place.written, f"{_WHY_LONG}, and docker-compose 1 has no long one: --target compose-cdi")
        elif _CUT_OFF.fullmatch(place.text):
            draft.replace(place, None, {"source": place.text, "target": place.text}, _WHY_LONG)


def _without_volumes(files: Sequence[ComposeFile]) -> None:
    """Takes the volumes away that held a driver, once nothing uses them."""
    all_mounts = [(file, mount) for file in files for body in file.services.values() for mount in mounts(body)]
    gone = {mount.source for file, mount in all_mounts if file.draft.is_removed(mount.place)}
    used = {mount.source for file, mount in all_mounts if not file.draft.is_removed(mount.place)}
    for file in files:
        volumes = file.draft.tree.field(file.root, "volumes")
        for name, place in (file.draft.tree.fields(volumes.value) if volumes else {}).items():
            if name in gone - used:
                file.draft.remove(place, _WHY_VOLUME)


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
    if target is ComposeTarget.SWARM and version and is_of_old_format(file):
        draft.leave(entry(version), _KEEP_OLD_FORMAT)
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
