"""Files of `docker stack deploy`, by which a swarm runs services: how they are told from Compose's own, and from them.

Swarm takes no request for a GPU: it refuses `deploy.resources.reservations.devices`, `gpus` and `runtime`, and leaves
`devices` out. GPUs come by the default runtime of each node, to the services that NVIDIA_VISIBLE_DEVICES names them to,
or whose generic resources name them.

https://github.com/docker/cli/tree/v29.7.2/cli/compose (schema/data/config_schema_v3.13.json, types/types.go)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from gpuctl.migrate.compose.legacy import LegacySigns, Piece
from gpuctl.migrate.compose.requests import DEPLOY, GENERIC, placed_requests
from gpuctl.migrate.compose.services import VARIABLE, Body, ComposeFile
from gpuctl.migrate.draft import Draft, FileText, naming
from gpuctl.migrate.gpus import names
from gpuctl.migrate.migration import Gpus
from gpuctl.migrate.tree import Place

_SWARM_ALONE = (
    ("deploy", "placement"),
    ("deploy", "endpoint_mode"),
    ("deploy", "update_config"),
    ("deploy", "rollback_config"),
    GENERIC,
)
"""What Compose passes over (https://github.com/docker/compose/blob/main/pkg/compose/create.go)."""
_MODES = ("global", "replicated-job", "global-job")
"""Those of deploy.mode that say more than Compose does anyway."""
_OF_A_SERVICE = (
    "build cap_add cap_drop cgroup_parent cgroupns_mode command configs container_name credential_spec depends_on"
    " deploy devices dns dns_search domainname entrypoint env_file environment expose external_links extra_hosts"
    " healthcheck hostname image init ipc isolation labels links logging mac_address network_mode networks"
    " oom_score_adj pid ports privileged read_only restart secrets security_opt shm_size stdin_open"
    " stop_grace_period stop_signal sysctls tmpfs tty ulimits user userns_mode volumes working_dir"
)
_OF_A_FILE = "version services networks volumes secrets configs"
"""Keys that `docker stack deploy` takes of a service and of a file; it refuses a file that has any other."""
_WHY_REFUSED = "docker stack deploy knows no such key"


def is_stack(sources: Sequence[FileText]) -> bool:
    """Returns whether files have what only a swarm reads, and nothing that `docker stack deploy` refuses.

    Raises NotAccepted.
    """
    files = []
    for read in sources:
        with naming(read.path):
            files.append(ComposeFile(Draft(read)))
    bodies = [body for file in files for body in file.services.values()]
    return any(map(_speaks_of_a_swarm, bodies)) and all(map(_is_taken, files))


def _speaks_of_a_swarm(body: Body) -> bool:
    tree = body.draft.tree
    mode = tree.field(body.node, "deploy", "mode")
    return bool(mode and mode.text in _MODES) or any(tree.field(body.node, *path) for path in _SWARM_ALONE)


def _is_taken(file: ComposeFile) -> bool:
    tree, bodies = file.draft.tree, file.services.values()
    if file.is_v1 or is_of_old_format(file) or not _own_keys(tree.fields(file.root)) <= set(_OF_A_FILE.split()):
        return False
    asks = any(tree.field(one.node, *DEPLOY) for one in bodies)
    return not asks and all(_own_keys(tree.fields(one.node)) <= set(_OF_A_SERVICE.split()) for one in bodies)


def _own_keys(fields: Mapping[str, Place]) -> set[str]:
    """Those that are no extension's."""
    return {key for key in fields if not key.startswith("x-")}


def is_of_old_format(file: ComposeFile) -> bool:
    """Returns whether a file names a version of its format that no swarm reads."""
    version = file.draft.tree.field(file.root, "version")
    return version is not None and version.text.startswith(("1", "2"))


def generic_requests(body: Body) -> Iterator[Gpus]:
    """Yields a request for each generic resource of GPUs that a service asks for: the swarm decides which GPUs."""
    tree = body.draft.tree
    for place in tree.entries(tree.field(body.node, *GENERIC)):
        kind = tree.field(place.value, "discrete_resource_spec", "kind")
        if kind and "gpu" in kind.text.lower():
            yield Gpus()


def as_in_swarm(signs: LegacySigns, body: Body) -> LegacySigns:
    """Returns what a body says of GPUs where what Swarm refuses is among the ways of old.

    A request tells which GPUs are meant, whatever runtime stands beside it.
    """
    tree = body.draft.tree
    found = list(placed_requests(body))
    runtime, devices = tree.field(body.node, "runtime"), tree.field(body.node, *DEPLOY)
    refused = [place for place, _ in found]
    refused += [runtime] if runtime and runtime.text != "nvidia" and not VARIABLE.search(runtime.text) else []
    refused += [devices] if devices and not devices.value.items else []
    said = (dataclasses.replace(one, why=_WHY_REFUSED) if _is_at(one, runtime) else one for one in signs.pieces)
    return dataclasses.replace(
        signs,
        pieces=(*said, *(Piece(place, _WHY_REFUSED) for place in refused)),
        runtime=None if found else signs.runtime,
        gpus=tuple(dict.fromkeys((*signs.gpus, *(name for _, gpus in found for name in names(gpus))))),
        by_hand=signs.by_hand or bool(found),
        capabilities=signs.capabilities.union(*(gpus.capabilities for _, gpus in found)),
    )


def _is_at(piece: Piece, place: Place | None) -> bool:
    return place is not None and piece.place.holder is place.holder and piece.place.index == place.index
