"""The CRI-O that runs here: told of its files by a reload or a restart, and asked over its socket what it goes by."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.compat.versions import docker_version
from gpuctl.engines.crio import settings
from gpuctl.facts.crio import CrioConfig, CrioProcess, ask, in_order, merged, option, options, read_files
from gpuctl.facts.own.journal import probe_changes
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome
from gpuctl.host.write.files import FileProblem, behind_links
from gpuctl.host.write.replace import content_before
from gpuctl.model import CannotTell, Disturbs, Step
from gpuctl.provision.change_set import Contents, DaemonProblem, Kept
from gpuctl.provision.engines.daemons import Runtimes, difference, not_taken_up, restarted, tell, tell_process, wait

RELOADS_SINCE = "1.26.0"
"""From here on a reload takes up `runtimes` and `default_runtime` (https://github.com/cri-o/cri-o/pull/6056). Late 1.25
releases do too (pull request 6270); a restart is right for them as well. It is what CRI-O tells that changes then: it
runs pods by what it read when it started (https://github.com/cri-o/cri-o/issues/10202), as server/server.go, New, hands
the part that runs them another copy of the configuration. So it is in each release up to 1.36.3, and seen in that."""
ANSWER_DEADLINE = 3.0
BUILT_IN = ("crun", "runc")
"""What it has where no file says otherwise: crun since 1.31, runc before (pkg/config/config.go, DefaultConfig)."""


@dataclass(frozen=True)
class CrioDaemon:
    """A running CRI-O. `unit` is the systemd unit through which it is told, None where it is told by a signal."""

    host: Host
    process: CrioProcess
    socket: str
    unit: str | None
    version: str
    config: str
    """Its main file."""
    folder: str
    """Every file of it counts, and of the folders in it."""

    def reads(self, path: str) -> bool:
        return path == behind_links(self.config) or path.startswith(f"{behind_links(self.folder)}/")

    @property
    def reloading(self) -> Step | None:
        if _is_before(self.version, RELOADS_SINCE):
            return None
        how = f"systemctl reload {self.unit}" if self.unit else f"SIGHUP to process {self.process.pid}"
        return Step(f"reload CRI-O ({how}) and ask it until it goes by its files", Disturbs.NOTHING)

    @property
    def restarting(self) -> Step | None:
        if self.unit is None:
            return None
        text = f"restart CRI-O (systemctl restart {self.unit}), which stops 0 running containers: conmon keeps them"
        return Step(text, Disturbs.NEW_CONTAINERS)

    def difference(self, contents: Contents) -> str:
        """Returns in which way it differs from all its files: what lacks, and what it has that none of them says."""
        try:
            has = self._told()
        except CannotTell as reason:
            return f"CRI-O does not answer: {reason}"
        try:
            files = merged(self._files(contents))
        except CannotTell as reason:
            return f"CRI-O's files cannot be read: {reason}"
        named = {name for raw in contents.values() for name in settings(raw).runtimes} & files.runtimes.keys()
        programs = {name: files.runtimes[name].get("runtime_path", "") for name in sorted(named)}
        default = "" if option(self.process.argv, "--default-runtime") else files.default_runtime
        lacks = difference("CRI-O", Runtimes(programs, default), _runtimes(has))
        return lacks or self._surplus(files, has) or self._refused(has)

    def _told(self) -> CrioConfig:
        """What it says that it has read. Raises CannotTell."""
        has = ask(self.host, self.socket, ANSWER_DEADLINE).get()
        if has is None:
            raise CannotTell("its socket is gone")
        return has

    def reload(self, contents: Contents, deadline: float) -> None:
        """Raises DaemonProblem; one that is still starting is not told: it ends by that signal (seen on 1.36.3)."""
        try:
            self._told()
        except CannotTell as reason:
            raise DaemonProblem(f"CRI-O does not answer, and was not told: {reason}.") from None
        if self.unit:
            tell("reload", self.unit)
        else:
            tell_process(self.process.pid, self.process.argv)
        wait(lambda left: self.difference(contents), deadline)

    def restart(self, contents: Contents, deadline: float) -> None:
        with restarted(self.unit or ""):
            wait(lambda left: self.difference(contents), deadline)

    def keeps(self, before: Contents, now: Contents) -> Kept:
        """Returns what it runs pods by still, and the file that says so too: none where it waits for a restart."""
        try:
            files, has = self._files(now), self._goes_by(now)
            then = merged(self._files(before))
        except (CannotTell, FileProblem):
            return Kept("")
        old, new = (merged([settings(raw) for raw in contents.values()]) for contents in (before, now))
        names = sorted((old.runtimes.keys() - new.runtimes.keys()) & has.runtimes.keys())
        is_default = old.default_runtime not in ("", new.default_runtime) and has.default_runtime == old.default_runtime
        stays = [f"the runtime {name}" for name in names]
        stays += [f"the default runtime {old.default_runtime}"] if is_default else []
        also = [
            one.path
            for one in files
            if one.runtimes.keys() & names or (is_default and one.default_runtime == old.default_runtime)
        ]
        if stays and not also:
            return Kept(" and ".join(stays))
        lacks = not_taken_up(_runtimes(then), _runtimes(merged(files)), _runtimes(has))
        return Kept(" and ".join(stays), also[-1] if stays else "", " and ".join(lacks))

    def _goes_by(self, now: Contents) -> CrioConfig:
        """By what it runs pods. Raises CannotTell and FileProblem.

        From 1.26 on it does not tell that: it is what its files said when it started, before gpuctl changed them.
        """
        if self.reloading is None:
            return self._told()
        since = [run for run in probe_changes(self.host).runs.get() or () if run.at > self.process.started]
        writes = [write.replacement for run in since for write in run.writes if self.reads(write.replacement.path)]
        firsts = {one.path: one for one in reversed(writes)}
        return merged(self._files({**now, **{path: content_before(one) for path, one in firsts.items()}}))

    def _files(self, contents: Contents) -> list[CrioConfig]:
        """What all its files say, those in `contents` being as they are there. Raises CannotTell."""
        there = {behind_links(one.path): one for one in read_files(self.host, self.config, self.folder).get() or ()}
        names = {path: there[path].path if path in there else path for path in contents if self.reads(path)}
        there |= {path: settings(contents[path], name) for path, name in names.items()}
        return in_order(there.values(), self.config)

    def _surplus(self, files: CrioConfig, has: CrioConfig) -> str:
        """What no file says: its command line may have said it, or it is CRI-O's own."""
        known = {*files.runtimes, *BUILT_IN, *_named(self.process.argv)}
        extra = next((name for name in sorted(has.runtimes) if name not in known), None)
        if extra:
            return f"CRI-O lists the runtime {extra}, which no file registers"
        if not files.default_runtime and has.default_runtime not in known:
            return f"CRI-O's default runtime is {has.default_runtime}, which no file says"
        return ""

    def _refused(self, has: CrioConfig) -> str:
        """What shows that it has refused its files: it tells of a default runtime that cannot be as if it counted.

        https://github.com/cri-o/cri-o, pkg/config/reload.go, ReloadRuntimes; seen on 1.36.
        """
        program = has.runtimes.get(has.default_runtime, {}).get("runtime_path", "")
        if program and self.host.stat(program).outcome is not Outcome.ABSENT:
            return ""
        missing = program or "its program"
        return f"CRI-O has refused its files: {missing} of the default runtime {has.default_runtime} is not there"


def _named(argv: tuple[str, ...]) -> Iterator[str]:
    """The runtimes that its command line names, each with its path and more: crio(8), --runtimes."""
    for word in options(argv, "--runtimes", "--default-runtime"):
        yield from (one.partition(":")[0] for one in word.split(","))


def _runtimes(config: CrioConfig) -> Runtimes:
    programs = {name: entry.get("runtime_path", "") for name, entry in config.runtimes.items()}
    return Runtimes(programs, config.default_runtime)


def _is_before(version: str, other: str) -> bool:
    try:
        return docker_version(version) < docker_version(other)
    except ValueError:  # a build of somebody's own: its answer will tell
        return False
