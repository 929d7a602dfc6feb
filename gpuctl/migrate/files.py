"""Files that a person names, rewritten: read, and written back with a backup where that was asked for.

The backup is what `install-runtime` leaves of a file that it replaces: FILE.gpuctl-TIME-DIGEST.bak beside it. The
journal, by which `gpuctl rollback` undoes changes of this host, is not for files of one's own: the host is not
changed by them, no daemon reads them, and where they lie under version control that undoes it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from gpuctl.engines.text_diff import text_diff
from gpuctl.engines.yaml.places import Encoding, NotAccepted, YamlKind
from gpuctl.frozen import dataclass
from gpuctl.host.write.files import FileProblem, examine, read, read_named
from gpuctl.host.write.replacement import Replacement
from gpuctl.migrate.compose.migrate import migrated as migrated_compose
from gpuctl.migrate.compose.services import VARIABLE, near
from gpuctl.migrate.compose.swarm import is_stack
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.draft import Draft, FileText, naming, source
from gpuctl.migrate.migration import Left, Migration
from gpuctl.migrate.tree import Place

_KEEP_OTHER_FILE = "this file maps GPUs by hand as well: name it, too"
_KEEP_UNREAD = "gpuctl has not seen this file: name it, if it says something of GPUs"


@dataclass(frozen=True)
class FileMigration:
    """A file and what becomes of it. `backup` is where what it was is kept, None where it was not written."""

    path: str
    encoding: Encoding
    migration: Migration
    backup: str | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the file is another one then."""
        return self.migration.before != self.migration.after

    @property
    def after(self) -> bytes:
        """The new file's bytes."""
        return self.encoding.encode(self.migration.after)

    @property
    def diff(self) -> str:
        """The unified diff of both."""
        return text_diff(self.path, self.migration.before, self.migration.after)


def compose_files(
    paths: Sequence[str], target: ComposeTarget | None, here: Callable[[], ComposeTarget], resource: str = ""
) -> tuple[FileMigration, ...]:
    """Returns Compose files rewritten, the later ones overrides of the first. Raises NotAccepted, FileProblem.

    Without a target they are for a swarm, where they are written for one, else for the Compose that is `here`.
    `resource`: what a swarm's nodes call their GPUs.
    """
    sources = [source(path, read_named(path)) for path in paths]
    target = target or (ComposeTarget.SWARM if resource or is_stack(sources) else here())
    done = migrated_compose(sources, target, resource)
    return tuple(
        FileMigration(one.path, one.encoding, _with_left(each, _of_others(one, paths, target)))
        for one, each in zip(sources, done, strict=True)
    )


def k8s_files(paths: Sequence[str], runtime_class: str | None) -> tuple[FileMigration, ...]:
    """Returns files of Kubernetes manifests rewritten, each by itself. Raises NotAccepted, FileProblem."""
    from gpuctl.migrate.k8s.migrate import migrated as migrated_k8s
    from gpuctl.migrate.k8s.pods import check_manifest

    done = []
    for path in paths:
        raw = read_named(path)
        with naming(path):
            check_manifest(raw[: 4 << 20].removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace"))
        read_ = source(path, raw)
        done.append(FileMigration(path, read_.encoding, migrated_k8s(read_, runtime_class)))
    return tuple(done)


def script_file(path: str, done: Migration) -> FileMigration:
    """Returns a script, which is UTF-8, and what becomes of it."""
    return FileMigration(path, Encoding("utf-8", b""), done)


def written(files: Sequence[FileMigration]) -> tuple[FileMigration, ...]:
    """Writes the files that are changed, all or none. Returns them with their backups. Raises FileProblem."""
    from gpuctl.host.write.lock import locked
    from gpuctl.host.write.replace import put_back

    made: list[Replacement] = []
    backups: dict[str, str] = {}
    with locked():
        for file in files:
            if file.is_changed:
                examine(file.path)
        try:
            for file in (file for file in files if file.is_changed):
                replacement = _replaced(file)
                made.append(replacement)
                backups[file.path] = replacement.kept
        except FileProblem:
            for replacement in reversed(made):
                put_back(replacement)
            raise
    return tuple(FileMigration(file.path, file.encoding, file.migration, backups.get(file.path)) for file in files)


def _replaced(file: FileMigration) -> Replacement:
    from gpuctl.host.write.replace import remove_leftovers, replace, replacement_of

    state = read(file.path)
    if state.raw != file.encoding.encode(file.migration.before):
        raise FileProblem(f"{file.path} was changed by another program just now. Run gpuctl again.")
    remove_leftovers(file.path)
    replacement = replacement_of(state, file.after)
    replace(replacement, state, file.after, lambda _: None)
    return replacement


def _with_left(done: Migration, more: Sequence[Left]) -> Migration:
    return Migration(done.before, done.after, done.changes, (*done.left, *more))


def _of_others(read_: FileText, paths: Sequence[str], target: ComposeTarget) -> list[Left]:
    """The files that a Compose file includes or extends, and that map GPUs by hand but were not named."""
    draft, left = Draft(read_), []
    for place in _other_files(draft):
        path = near(read_.path, place.text)
        if path in [near(one, one.rpartition("/")[2]) for one in paths]:
            continue
        why = _KEEP_UNREAD
        with suppress(NotAccepted, FileProblem, ValueError):
            if not VARIABLE.search(place.text):
                (other,) = migrated_compose([source(path, read_named(path))], target)
                why = _KEEP_OTHER_FILE if other.changes or other.left else ""
        if why:
            left.append(Left(place.text, why, draft.line(place.written)))
    return left


def _other_files(draft: Draft) -> Iterator[Place]:
    """The places where a Compose file names others (https://docs.docker.com/reference/compose-file/include/)."""
    tree = draft.tree
    for root in draft.source.documents:
        for place in tree.entries(tree.field(root, "include")):
            inner = place if place.text else tree.field(place.value, "path")
            yield from (
                tree.entries(inner) if inner and inner.value.kind is YamlKind.SEQUENCE else filter(None, (inner,))
            )
        services = tree.field(root, "services")
        for service in tree.fields(services.value).values() if services else ():
            file = tree.field(service.value, "extends", "file")
            if file:
                yield file
