"""Taking out what gpuctl put into an engine's files, and nothing else: later edits of others stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gpuctl.engines.json import text as json_text
from gpuctl.engines.merge import REMOVED, Conflict, Keys, Values, of_others, pruned, same, taken_out, value_at
from gpuctl.engines.toml import text as toml_text
from gpuctl.facts.own.journal import ROLLED_BACK, UNDONE, Changes
from gpuctl.facts.own.journal_entries import FileWrite
from gpuctl.host.look.reading import Host
from gpuctl.host.write import files
from gpuctl.host.write.files import same_file
from gpuctl.host.write.replace import content_before, digest
from gpuctl.model import ENGINES
from gpuctl.provision.aside import aside
from gpuctl.provision.change_set import ChangeSet, Edit, Engine, SharedFile
from gpuctl.provision.engines.choose import engine_of, reader, restart, show_of, untold
from gpuctl.provision.errand import Errand
from gpuctl.provision.install import COMMAND as INSTALL
from gpuctl.provision.result import Refused, Result, Say, Wish
from gpuctl.provision.rollback import own_runs
from gpuctl.provision.run.transaction import conduct

COMMAND = "uninstall-runtime"
_VOID = (ROLLED_BACK, UNDONE)


def uninstall_runtime(host: Host, wish: Wish, say: Say) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. What others have changed since is a conflict."""
    return conduct(Errand(host, COMMAND, wish, lambda journal: _plan(host, journal, wish), say))


def _plan(host: Host, journal: Changes, wish: Wish) -> ChangeSet:
    runs = [run for run in own_runs(host, journal) if run.command == INSTALL and run.state not in _VOID]
    writes = [write for run in reversed(runs) for write in reversed(run.writes) if write.engine in ENGINES]
    name = wish.engine or (writes[0].engine if writes else "")
    ours = [one for one in writes if one.engine == name and _is_asked(one, wish.config)]
    if not ours:
        return ChangeSet("", "", (), None, notes=("gpuctl has put nothing there: there is nothing to take out.",))
    engine = engine_of(name)
    paths = dict.fromkeys(write.replacement.path for write in ours)
    stay = [path for path in paths if _is_anothers(next(one for one in ours if one.replacement.path == path))]
    if len(stay) < len(paths):
        paths = dict.fromkeys(path for path in paths if path not in stay)
    edits = tuple(_edit(engine, path, [one for one in ours if one.replacement.path == path]) for path in paths)
    daemon = reader(host, name, list(paths)) if wish.reload else None
    notes, remedy = (*untold(daemon, wish, list(paths)), *_left(stay, paths)), restart(host, daemon)
    return ChangeSet(name, engine.title, edits, daemon, notes=notes, remedy=remedy, takes_away=True)


def _is_anothers(newest: FileWrite) -> bool:
    """Whether a whole file of gpuctl's was written anew since: a CDI specification after a driver upgrade."""
    file = newest.replacement
    raw = files.read(file.path).raw
    return newest.sets is None and raw is not None and digest(raw) not in (file.after, file.before)


def _left(stay: Sequence[str], paths: Collection[str]) -> tuple[str, ...]:
    return tuple(f"{path} was written anew by others since: it stays." for path in stay if path not in paths)


def _is_asked(write: FileWrite, config: str | None) -> bool:
    return config is None or same_file(write.replacement.path, config)


def _edit(engine: Engine, path: str, writes: Sequence[FileWrite]) -> Edit:
    place = writes[0].replacement.aside or aside(path)
    without, again = _without(engine, path, writes), _with_taken(engine, writes)
    return Edit(path, without, show_of(writes[0].engine, path), aside=place, with_taken=again)


def _with_taken(engine: Engine, writes: Sequence[FileWrite]) -> Callable[[bytes | None], bytes | None] | None:
    """`writes` are newest first. None where the file as a whole is gpuctl's, of which no daemon keeps anything."""
    document = engine.document
    sets = [value for write in reversed(writes) for value in write.sets or ()]
    if document is None:
        return None

    def with_taken(raw: bytes | None) -> bytes | None:
        try:
            return document.set_values(raw or b"", sets)
        except (json_text.NotAccepted, toml_text.NotAccepted):
            return raw  # others have made of its place something else

    return with_taken


def _without(engine: Engine, path: str, writes: Sequence[FileWrite]) -> Callable[[bytes | None], bytes | None]:
    """`writes` are newest first."""

    def take_out(raw: bytes | None) -> bytes | None:
        for write in writes:
            raw = _undone(engine, path, write, raw)
        return raw

    return take_out


def _undone(engine: Engine, path: str, write: FileWrite, raw: bytes | None) -> bytes | None:
    """A file that nobody else has touched gets its old bytes again, any other loses only what gpuctl had set."""
    file = write.replacement
    if digest(raw) == file.after:
        return content_before(file)
    if raw is None or digest(raw) == file.before:
        return raw
    if write.sets is None or engine.document is None:
        diff = show_of(write.engine, path)(path, raw, content_before(file))
        raise Refused(f"{path} was edited since gpuctl wrote it. Remove it by hand if nobody needs it.", diff=diff)
    try:
        return _merged(engine.document, raw, content_before(file), write.sets)
    except Conflict as conflict:
        raise Refused(f"{path}: {conflict} Settle that by hand.") from None
    except (json_text.NotAccepted, toml_text.NotAccepted) as error:
        raise Refused(f"{error.at(path)}.") from None


def _merged(document: SharedFile, raw: bytes, before: bytes | None, sets: Values) -> bytes | None:
    old, now = document.values(before or b""), document.values(raw)
    others = of_others(sets, now)
    ours = [one for one in sets if not _is_built_on(document, one[0], old, others)]
    out = taken_out(ours, old, now)
    left = document.set_values(raw, out) if out else raw
    return None if before is None and not document.values(left) else left


def _is_built_on(document: SharedFile, keys: Keys, before: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether others have since put something where it needs a value of gpuctl's, or have changed that value."""
    place = document.carries(keys)
    if place is None:
        return False
    there, old = (value_at(said, place) for said in (others, pruned(before)))
    return value_at(others, keys) is not REMOVED or (there is not REMOVED and not same(there, old))
