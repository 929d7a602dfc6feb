"""The services of Compose files, and in which order the files and their `extends` say what a service is.

https://github.com/compose-spec/compose-spec/blob/main/13-merge.md
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from gpuctl.engines.yaml.places import NotAccepted, YamlKind, YamlNode
from gpuctl.frozen import dataclass
from gpuctl.migrate.draft import Draft
from gpuctl.migrate.tree import Place

VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{|[A-Za-z_])")
"""What Compose interpolates; `$$` is a dollar (https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md)."""
_EXTENDS_LIMIT = 50
_V1_KEYS = {"image", "build", "extends"}
_KINDS = {
    "devices": (YamlKind.SEQUENCE,),
    "volumes": (YamlKind.SEQUENCE,),
    "environment": (YamlKind.MAPPING, YamlKind.SEQUENCE),
    "deploy": (YamlKind.MAPPING,),
}
"""What stands behind the keys of a service that gpuctl reads as one of several."""
V1_ONLY = {"net", "volume_driver", "log_driver", "log_opt", "dockerfile", "volumes_from"}
"""What a service of the first file format has and no later one, or in another way
(https://docs.docker.com/reference/compose-file/legacy-versions/)."""


@dataclass(frozen=True)
class Body:
    """What one file says of a service."""

    draft: Draft
    node: YamlNode


class ComposeFile:
    """A Compose file with its services. Raises NotAccepted for what is none."""

    def __init__(self, draft: Draft) -> None:
        self.draft, tree = draft, draft.tree
        documents = draft.source.documents
        if any(tree.field(root, "apiVersion") and tree.field(root, "kind") for root in documents):
            raise NotAccepted("it is a Kubernetes manifest: gpuctl migrate k8s rewrites it", 1)
        if not documents:
            raise NotAccepted("it is empty, and no Compose file")
        if len(documents) > 1:
            raise NotAccepted("it holds several documents, and a Compose file is one", draft.line(documents[1]))
        self.root = documents[0]
        if self.root.kind is not YamlKind.MAPPING:
            raise NotAccepted(f"it is {self.root.kind.value}, and a Compose file a mapping")
        services = tree.field(self.root, "services")
        if services:
            _check_kind(draft, services, "services", (YamlKind.MAPPING,))
        found = tree.fields(services.value if services else self.root)
        self.is_v1 = services is None and _is_v1(draft, self.root)
        if services is None and not self.is_v1:
            found = {}
            if not any(tree.field(self.root, key) for key in ("include", "volumes", "version", "name", "x-gpu")):
                raise NotAccepted("it has no services: is it a Compose file?", 1)
        for name, place in found.items():
            _check_service(draft, name, place)
        self.services = {
            name: Body(draft, place.value) for name, place in found.items() if place.value.kind is YamlKind.MAPPING
        }

    @property
    def path(self) -> str:
        """The path by which it was named."""
        return self.draft.source.path


def _check_service(draft: Draft, name: str, place: Place) -> None:
    """Raises NotAccepted for a service that no Compose takes."""
    _check_kind(draft, place, f"the service {name}", (YamlKind.MAPPING,))
    for key, kinds in _KINDS.items():
        field = draft.tree.field(place.value, key)
        if field:
            _check_kind(draft, field, f"{key} of the service {name}", kinds)


def _check_kind(draft: Draft, place: Place, what: str, kinds: tuple[YamlKind, ...]) -> None:
    """Raises NotAccepted where something else stands there. Nothing may: it takes back what an earlier file says."""
    if place.value.kind not in kinds and not place.value.is_null:
        wanted = " or ".join(kind.value for kind in kinds)
        raise NotAccepted(f"{what} is {place.value.kind.value}, and has to be {wanted}", draft.line(place.written))


def _is_v1(draft: Draft, root: YamlNode) -> bool:
    """Whether each key of the file is a service, as it was before there was a version."""
    values = [draft.tree.resolved(item) for item in root.items]
    return bool(values) and all(_V1_KEYS & set(draft.tree.fields(value)) for value in values)


def layers(files: Sequence[ComposeFile], number: int, name: str) -> tuple[Body, ...]:
    """Returns what says what a service is up to a file: bases before what extends them, earlier files before later."""
    found: list[Body] = []
    for file in files[: number + 1]:
        found += _extended(files, file, name, ())
    return tuple({id(one.node): one for one in found}.values())


def _extended(files: Sequence[ComposeFile], file: ComposeFile, name: str, above: tuple[int, ...]) -> list[Body]:
    body = file.services.get(name)
    if body is None or id(body.node) in above:
        return []
    if len(above) == _EXTENDS_LIMIT:
        raise NotAccepted(f"a service extends more than {_EXTENDS_LIMIT} others", path=file.path)
    base, path = extends(body)
    there = file if not path else next((one for one in files if _is_at(one.path, file.path, path)), None)
    bases = _extended(files, there, base, (*above, id(body.node))) if there and base else []
    return [*bases, body]


def extends(body: Body) -> tuple[str, str]:
    """Returns the name of the service that one extends, and the file in which that is; "" for none, or the same."""
    place = body.draft.tree.field(body.node, "extends")
    if place is None or place.text:
        return (place.text if place else ""), ""
    service, file = (body.draft.tree.field(place.value, key) for key in ("service", "file"))
    return (service.text if service else ""), (file.text if file else "")


def _is_at(path: str, beside: str, named: str) -> bool:
    return posixpath.normpath(path) == near(beside, named)


def near(path: str, named: str) -> str:
    """Returns the path of a file that another one names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), named))
