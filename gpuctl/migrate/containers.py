"""Docker's running containers that map the driver by hand, each with the command that would start it the modern way."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gpuctl.facts.docker.containers import DEADLINE, LIST, MOST
from gpuctl.facts.docker.daemon import ASLEEP
from gpuctl.facts.docker.endpoint import is_users, probe_endpoint
from gpuctl.facts.docker.unit import waiting_socket
from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, object_in, parse_object, parse_objects, text_in, texts_in
from gpuctl.host.look.reading import Host, Reading, fact, failure
from gpuctl.migrate.inspected import COMPOSE, words_of
from gpuctl.migrate.migration import Migration
from gpuctl.migrate.run import Targets, line_of, migrated, run_commands
from gpuctl.migrate.survey import survey
from gpuctl.model import CannotTell

EMPTIED = (
    "/usr/bin/nvidia-smi",
    *(f"{folder}/libcuda.so.1" for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")),
)
"""Files that the toolkit mounts over empty ones of that name, which `docker commit` then keeps."""
_ADDED = 1
"""Of `docker diff`: a file that the image does not have."""
_NAME, _SIZE, _KIND, _LINK, _HEADER = slice(0, 100), slice(124, 136), 156, slice(157, 257), 512
_FILE, _SYMLINK = ("0", "\0"), "2"


@dataclass(frozen=True)
class Audited:
    """A running container, the command that it was started by as far as Docker tells, and that command migrated.

    `compose` are the files of Compose that it was made of, "" where it was not. `emptied` are files of the driver that
    its image has, and that are empty: it was made of a GPU container by commit or export, and shows a driver where
    there is none.
    """

    name: str
    id: str
    image: str
    migration: Migration
    is_by_hand: bool
    compose: str
    emptied: tuple[str, ...]

    @property
    def is_legacy(self) -> bool:
        return self.is_by_hand or bool(self.emptied)


@dataclass(frozen=True)
class Audit:
    """The containers that were looked at, and those that were asked for and do not run."""

    containers: tuple[Audited, ...]
    missing: tuple[str, ...] = ()


def audit(host: Host, names: Sequence[str], targets: Targets) -> Audit:
    """Returns the running containers of these names or ids, all where none is given. Changes nothing.

    Raises CannotTell where Docker cannot be asked.
    """
    url = _address(host)
    listed = _answer(host.get(url, LIST, DEADLINE), parse_objects)[:MOST]
    wanted = {name: [one for one in listed if _is_called(one, name)] for name in names}
    chosen = [one for found in wanted.values() for one in found] if names else listed
    ids = dict.fromkeys(text_in(one, "Id") or "" for one in chosen)
    found = (_audited(host, url, id, targets) for id in ids)
    return Audit(tuple(one for one in found if one), tuple(name for name in names if not wanted[name]))


def _address(host: Host) -> str:
    found = probe_endpoint(host)
    endpoint = found.value
    if endpoint is None:
        raise CannotTell(found.unknown or "nothing says where Docker is")
    if endpoint.local and waiting_socket(host, endpoint, is_users(host, endpoint)):
        raise CannotTell(ASLEEP)
    if not endpoint.local:
        raise CannotTell(f"the daemon is on another host ({endpoint.url}): run it there")
    return endpoint.url


def _is_called(listed: Mapping[str, Any], name: str) -> bool:
    own = [one.lstrip("/") for one in texts_in(listed, "Names")]
    return name in own or (len(name) >= 4 and (text_in(listed, "Id") or "").startswith(name))


def _audited(host: Host, url: str, id: str, targets: Targets) -> Audited | None:
    seen = host.get(url, f"/containers/{id}/json", DEADLINE)
    if seen.code == 404:  # it has ended meanwhile
        return None
    container = _answer(seen, parse_object)
    image = host.get(url, f"/images/{text_in(container, 'Image')}/json", DEADLINE)
    try:
        line = line_of(words_of(container, parse_object(image.text) if image.ok else {}))
        (run,) = run_commands(line)
    except ValueError as error:
        raise CannotTell(f"what Docker says of the container {id[:12]} is not understood: {error}") from None
    found = survey(run)
    config = object_in(container, "Config")
    asks = found.is_by_hand or found.flags or found.cdi or found.runtime or found.visible
    return Audited(
        name=(text_in(container, "Name") or "").lstrip("/"),
        id=id,
        image=text_in(config, "Image") or "",
        migration=migrated(line, targets),
        is_by_hand=found.is_by_hand,
        compose=text_in(object_in(config, "Labels"), f"{COMPOSE}project.config_files") or "",
        emptied=tuple(_emptied(host, url, id)) if asks else (),
    )


def _emptied(host: Host, url: str, id: str) -> Iterator[str]:
    """Yields the empty files of the image; the container's own are those over which the toolkit mounts."""
    changes = host.get(url, f"/containers/{id}/changes", DEADLINE)
    if not changes.ok or changes.text.strip() == "null":
        own = set[str]()
    else:
        told = _answer(changes, parse_objects)
        own = {text_in(one, "Path") or "" for one in told if number_in(one, "Kind") == _ADDED}
    for path in EMPTIED:
        found = _file(host, url, id, path)
        if found and found not in own:
            yield found


def _file(host: Host, url: str, id: str, path: str, is_link: bool = False) -> str | None:
    """The path of an empty file, behind a link; None where it is not empty, or is not there.

    Docker gives a file as an archive of one, whose header says its kind and its size: tar(5), "ustar".
    """
    seen = host.get(url, f"/containers/{id}/archive?path={quote(path)}", DEADLINE)
    header = seen.text[:_HEADER]
    if not seen.ok or len(header) < _HEADER:
        return None
    if header[_KIND] == _SYMLINK and not is_link:
        target = header[_LINK].partition("\0")[0]
        return _file(host, url, id, posixpath.normpath(posixpath.join(posixpath.dirname(path), target)), True)
    is_empty = header[_KIND] in _FILE and not header[_SIZE].strip("\0 ").strip("0")
    return path if is_empty else None


def _answer(seen: Reading, parse: Any) -> Any:
    found = fact(seen, parse)
    if found.value is None:
        raise CannotTell(found.unknown or failure(seen))
    return found.value
