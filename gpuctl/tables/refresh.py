"""Rows for the newest releases of frameworks, by what PyPI says that they pin.

Source: https://docs.pypi.org/api/json/ ("Get a project": the newest release's metadata, and all releases).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gpuctl.compat.ask.pip_files.asks import pinned_ask
from gpuctl.compat.tables.loader import CATALOGUE, lines_of
from gpuctl.compat.tables.overlay import Overlay, bundled_text, file_of
from gpuctl.documents import load_json
from gpuctl.engines.text_diff import text_diff
from gpuctl.frozen import dataclass
from gpuctl.host.act.download import DownloadProblem, download
from gpuctl.host.places import own_data
from gpuctl.model import ExitCode
from gpuctl.tables.overlay import NoTables, read_choice
from gpuctl.tables.use import TablesInstalled, use_overlay

if TYPE_CHECKING:
    from packaging.version import Version

    from gpuctl.compat.ask.asks import Ask

INDEX = "https://pypi.org"
_PROJECTS = {
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow",),
    "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin"),
    "onnxruntime-gpu": ("onnxruntime-gpu",),
}
"""The table's frameworks, and the packages of each whose metadata pins CUDA: one a build."""
_LARGEST = 32 << 20
"""Bytes of one answer: it names every file of every release. Torch's has 0.9 MiB."""
_DEADLINE = 60.0
"""Seconds for one answer."""
_TABLE = "frameworks"
_NOTE = "What PyPI's package requires; for which GPUs it holds code was not read."


@dataclass(frozen=True)
class Refreshed:
    """The rows that are proposed for the table of frameworks, as a diff and one by one, and what became of them.

    `notes` say of each framework that gets no row why, and which releases lie between and were not asked for.
    """

    installation: TablesInstalled
    diff: str = ""
    rows: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Page:
    """What PyPI says of a package: its newest release, what CUDA that requires (None: none), and all its releases."""

    package: str
    version: Version
    ask: Ask | None
    releases: tuple[Version, ...]


def refresh_tables(dry_run: bool) -> Refreshed:
    """Asks PyPI for the frameworks' newest releases and installs rows for those that the table lacks.

    They go over what this user has installed, or else over gpuctl's own table, as `use_tables` would install them.
    """
    base = _installed()
    text = base.files.get(file_of(_TABLE), b"").decode("utf-8") or bundled_text(_TABLE)
    try:
        pages = {framework: tuple(map(_page, packages)) for framework, packages in _PROJECTS.items()}
    except DownloadProblem as problem:
        failed = TablesInstalled(own_data()[1], dry_run, ExitCode.UNDETERMINED, error=f"{problem} Nothing was changed.")
        return Refreshed(failed)
    found = [_proposed(framework, asked, _known(text, framework)) for framework, asked in pages.items()]
    rows = tuple(row for row, _ in found if row)
    after = text
    for row in rows:
        after = _with_row(after, row)
    files = {**base.files, file_of(_TABLE): after.encode(), file_of(CATALOGUE): _catalogue(base).encode()}
    proposed = Overlay(f"{INDEX} (table {_TABLE})", tuple(sorted(files)), files, {})
    installation = use_overlay(proposed, dry_run) if rows else TablesInstalled(own_data()[1], dry_run)
    return Refreshed(
        installation, text_diff(file_of(_TABLE), text, after), rows, tuple(note for _, notes in found for note in notes)
    )


def _installed() -> Overlay:
    by, place = own_data()
    try:
        return read_choice(by, place).overlay
    except NoTables:
        return Overlay(place, (), {}, {})


def _page(package: str) -> _Page:
    from packaging.version import InvalidVersion, Version

    said = download(f"{INDEX}/pypi/{package}/json", _LARGEST, _DEADLINE, elsewhere=False)
    try:
        document = load_json(said.decode("utf-8"))
        info = document["info"]
        version = Version(info["version"])
        ask = pinned_ask(info["requires_dist"] or (), f"{package} {version}")
        return _Page(package, version, ask, tuple(Version(one) for one in document["releases"] if _final(one)))
    except (ValueError, LookupError, TypeError, InvalidVersion):
        raise DownloadProblem(f"{INDEX} answers for {package} with what is no page of a project.") from None


def _final(version: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return not Version(version).is_prerelease
    except InvalidVersion:
        return False


def _known(text: str, framework: str) -> Version:
    """Returns the newest release that the table has of a framework."""
    from packaging.version import Version

    rows = map(json.loads, lines_of(text))
    return max(Version(row["version"]) for row in rows if row["framework"] == framework)


def _proposed(framework: str, pages: Sequence[_Page], known: Version) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Returns the row of a framework's newest release, where the table lacks it, and what is to be said."""
    newest = max(page.version for page in pages)
    if newest <= known:
        return None, (f"{framework}: {known} is the newest known, and PyPI has {newest}.",)
    asks = {page.package: page.ask for page in pages if page.ask and page.version == newest}
    if not asks:
        return None, (f"{framework} {newest} is new, and nothing that PyPI says of it pins a CUDA version.",)
    row = {
        "framework": framework,
        "version": str(newest),
        "builds": {ask.from_minor or ask.cuda: None for ask in asks.values()},
        "note": _NOTE,
        "source": "; ".join(_source(package, newest, ask.by) for package, ask in asks.items()),
    }
    return row, tuple(_between(framework, pages, known, newest))


def _source(package: str, version: Version, by: str) -> str:
    return f"{INDEX}/project/{package}/{version}/ (requires {by.rpartition(' in ')[0]})"


def _between(framework: str, pages: Iterable[_Page], known: Version, newest: Version) -> Iterator[str]:
    left = sorted({version for page in pages for version in page.releases if known < version < newest})
    if left:
        yield f"{framework}: {', '.join(map(str, left))} lie between and were not asked for."


def _with_row(text: str, row: dict[str, Any]) -> str:
    """Returns the table with a row after the last of its framework."""
    lines = lines_of(text)
    last = max(place for place, line in enumerate(lines) if json.loads(line)["framework"] == row["framework"])
    added = json.dumps(row, separators=(",", ":"))
    return "".join(f"{line}\n" for line in (*lines[: last + 1], added, *lines[last + 1 :]))


def _catalogue(base: Overlay) -> str:
    """Returns the catalogue of what is installed and of the table of frameworks, which stays as old as it was."""
    theirs = base.files.get(file_of(CATALOGUE), b"").decode("utf-8").splitlines()
    ours = lines_of(bundled_text(CATALOGUE))
    own = [line for line in ours if json.loads(line)["table"] == _TABLE]
    others = [line for line in theirs if json.loads(line)["table"] != _TABLE]
    mine = [line for line in theirs if json.loads(line)["table"] == _TABLE]
    return "".join(f"{line}\n" for line in (*others, *(mine or own)))
