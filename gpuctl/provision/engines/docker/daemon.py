"""Docker's daemon: telling it to take up a file, and asking what it took."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from gpuctl.compat.knowledge.daemon_keys import refusal, release_of
from gpuctl.compat.versions import compare, leading
from gpuctl.engines.daemon_json import DaemonSettings, settings
from gpuctl.engines.json.text import NotAccepted
from gpuctl.facts.docker.daemon_json import parse_config
from gpuctl.facts.docker.docker import Docker
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import is_running
from gpuctl.host.decode import number_in, object_in, parse_object, parse_objects, text_in, texts_in
from gpuctl.host.look.reading import Host, Outcome, Reading, failure, said_line
from gpuctl.host.write.files import behind_links, same_file
from gpuctl.model import Disturbs, Step
from gpuctl.provision.change_set import Contents, DaemonProblem, Kept, NotUp, accept
from gpuctl.provision.engines.daemons import Runtimes, difference, restarted, tell, tell_process, wait
from gpuctl.provision.result import Refused
from gpuctl.regex import regex

VALIDATES_SINCE = "23.0"
VALIDATE_DEADLINE = 10.0
ANSWER_DEADLINE = 3.0
LOG_DEADLINE = 5.0
_COMPLAINT = regex(r"level=(?:error|fatal).{0,500}?(?:reload|reconfigur|config|runtime)", re.IGNORECASE)
"""What dockerd logs of a file that it does not take. Its other errors may be any container's."""


@dataclass(frozen=True)
class DockerDaemon:
    """The dockerd that runs here; `unit` is the systemd unit by which it is told, None: by a signal."""

    host: Host
    docker: Docker
    path: str
    """The file that it reads."""
    unit: str | None

    @property
    def reloading(self) -> Step:
        """The step that has it read its file again. Raises Refused where gpuctl cannot tell it."""
        process = self.docker.process.value
        if self.unit is None and process is None:
            raise Refused("gpuctl does not see the dockerd process. Use --no-reload, and send it SIGHUP yourself.")
        how = (
            f"systemctl reload {self.unit}" if self.unit or not process else f"SIGHUP to dockerd, process {process.pid}"
        )
        text = f"reload Docker ({how}) and ask it until it has what the file says"
        return Step(text, Disturbs.NOTHING, undo="reload it again, with the old file")

    @property
    def restarting(self) -> Step | None:
        """The step that restarts it, with the count of containers that it stops; None where systemd does not run it."""
        if self.unit is None:
            return None
        daemon = self.docker.daemon.value
        stops = daemon.containers_running if daemon and not daemon.live_restore else 0
        disturbs = Disturbs.RUNNING_CONTAINERS if stops else Disturbs.NOTHING
        text = f"restart Docker (systemctl restart {self.unit}), which stops {stops} running containers"
        return Step(text, disturbs, undo="restart it again, with the old file")

    def reads(self, path: str) -> bool:
        """Returns whether that is its daemon.json."""
        return same_file(path, self.path)

    def difference(self, contents: Contents) -> str:
        """Returns in which way it differs from what the file says, "" when it has all of that.

        It has nothing of a file that it refuses, whatever it has kept of an earlier one.
        """
        try:
            return self._refusal(contents) or _difference(self._wanted(contents), self._answer(ANSWER_DEADLINE))
        except DaemonProblem as problem:
            return str(problem)

    def reload(self, contents: Contents, deadline: float) -> None:
        """Has it read its file again. Raises DaemonProblem where it does not take it up, or loses a container.

        What it lists proves nothing where it listed that before: a reload that it refuses leaves all as it was. The
        daemon itself says which reload it carried out (docs.docker.com/reference/cli/docker/system/events).
        """
        refused = self._refusal(contents)
        if refused:
            raise DaemonProblem(f"{refused}.")
        before, told = self._containers(), time.time()
        try:
            self._tell()
            # dockerd does not reload where there is no file any more: it keeps what it has, as after any reload.
            since = None if contents.get(behind_links(self.path)) is None else told
            wanted = self._wanted(contents)
            wait(lambda left: self._lacks(wanted, left, since), deadline)
        except DaemonProblem as problem:
            raise self._ended() or problem from None
        after = self._containers()
        lost = [name for name, pid in before.items() if after.get(name, pid) != pid]
        if lost:
            raise DaemonProblem(f"The container {lost[0]} was started anew meanwhile.")
        complaint = self._complaint(told)
        if complaint:
            raise DaemonProblem(f"Docker's log has an error since the reload: {complaint}.")

    def _refusal(self, contents: Contents) -> str:
        why = not_taken(self.docker, contents.get(behind_links(self.path)))
        return f"Docker does not take {self.path}: {why}" if why else ""

    def restart(self, contents: Contents, deadline: float) -> None:
        """Restarts it. Raises NotUp when it does not come up with what the file says; `deadline` in seconds."""
        wanted = self._wanted(contents)
        with restarted(self.unit or ""):
            wait(lambda left: self._lacks(wanted, left, None), deadline)
            if wanted.cdi and not self._answer(ANSWER_DEADLINE).cdi:
                raise DaemonProblem("Docker does not have CDI on, although its file says so.")

    def keeps(self, before: Contents, now: Contents) -> Kept:
        """Returns what it still has although the file does not say it any more: a reload unsets nothing."""
        old, new = self._wanted(before), self._wanted(now)
        try:
            has = self._answer(ANSWER_DEADLINE)
        except DaemonProblem:
            return Kept("")
        stays = [f"the runtime {name}" for name in (old.runtimes.keys() - new.runtimes.keys()) & has.runtimes.keys()]
        if old.default and not new.default and has.default == old.default:
            stays.append(f"the default runtime {old.default}")
        return Kept(" and ".join(stays))

    def _wanted(self, contents: Contents) -> DaemonSettings:
        return settings_of(contents.get(behind_links(self.path)))

    @property
    def _endpoint(self) -> str:
        return self.docker.endpoint.value.url if self.docker.endpoint.value else ""

    def _ended(self) -> DaemonProblem | None:
        """What is to be said where the daemon has ended instead; systemd may have started it anew."""
        process = self.docker.process.value
        if process is None or is_running(process.pid, process.argv):
            return None
        if not self.host.get(self._endpoint, "/_ping", ANSWER_DEADLINE).ok:
            return NotUp("Docker ended when it was told to reload, and does not run any more.")
        return DaemonProblem("Docker ended when it was told to reload, and was started anew.")

    def _tell(self) -> None:
        process = self.docker.process.value
        if self.unit is not None:
            tell("reload", self.unit)
        elif process is not None:
            tell_process(process.pid, process.argv)

    def _lacks(self, wanted: DaemonSettings, left: float, told: float | None) -> str:
        deadline = min(ANSWER_DEADLINE, left)
        try:
            if told is not None and not self._reloaded(told, deadline):
                return "Docker has not taken the file up"
            return _difference(wanted, self._answer(deadline))
        except DaemonProblem as problem:
            return str(problem)

    def _reloaded(self, since: float, deadline: float) -> bool:
        wanted = json.dumps({"type": ["daemon"], "event": ["reload"]})
        query = urlencode({"since": f"{since:.9f}", "until": f"{time.time():.9f}", "filters": wanted})
        return bool(self._get(f"/events?{query}", deadline).strip())

    def _answer(self, deadline: float) -> DaemonSettings:
        try:
            info = parse_object(self._get("/info", deadline))
            listed = object_in(info, "Runtimes")
            runtimes = {name: text_in(object_in(listed, name), "path") or "" for name in listed}
            return DaemonSettings(
                runtimes, text_in(info, "DefaultRuntime") or "", cdi=bool(texts_in(info, "CDISpecDirs"))
            )
        except ValueError as error:
            raise DaemonProblem(f"Docker's answer to /info is not understood: {error}") from None

    def _containers(self) -> Mapping[str, int]:
        """The running containers, each with its process id; those that cannot be asked about are left out."""
        try:
            listed = parse_objects(self._get("/containers/json", ANSWER_DEADLINE))
            names = [name for one in listed if (name := text_in(one, "Id"))]
            states = {name: parse_object(self._get(f"/containers/{name}/json", ANSWER_DEADLINE)) for name in names}
            pids = {name: number_in(object_in(state, "State"), "Pid") for name, state in states.items()}
        except (DaemonProblem, ValueError):
            return {}
        return {name[:12]: pid for name, pid in pids.items() if pid}

    def _complaint(self, since: float) -> str:
        """The first error about its configuration in its log since then, "" for none, or where no log is kept."""
        if self.unit is None:
            return ""
        argv = ("journalctl", "--no-pager", "-q", "-o", "cat", "-u", self.unit, f"--since=@{since:.6f}", "-n", "500")
        lines = self.host.run(argv, LOG_DEADLINE).text.splitlines()
        return next((line.strip().rstrip(".") for line in lines if _COMPLAINT.search(line)), "")

    def _get(self, path: str, deadline: float) -> str:
        reading = self.host.get(self._endpoint, path, deadline)
        if not reading.ok:
            raise DaemonProblem(f"Docker does not answer: {failure(reading)}")
        return reading.text


def not_taken(docker: Docker, raw: bytes | None) -> str | None:
    """Returns why this Docker surely refuses a daemon.json of these contents, as a clause; None: it may take it.

    What is no JSON is not looked at: who edits it says so, with the line.
    """
    daemon = docker.daemon.value
    kinds = parse_config("", (raw or b"").decode("utf-8", "replace")).kinds
    return refusal(kinds, release_of(daemon.version) if daemon else None)


def validator(host: Host, docker: Docker, config: str) -> Callable[[str], None]:
    """Returns what looks at a complete new file before it counts: `dockerd --validate` where this version has it.

    It raises Refused with dockerd's words, in which the new file goes by the name of the one that it replaces.
    """
    program = host.which("dockerd").text
    if not _validates(docker, program):
        return accept

    def validate(path: str) -> None:
        reading = host.run((program, "--validate", "--config-file", path), VALIDATE_DEADLINE)
        if reading.outcome is Outcome.OK and reading.code:
            words = _last_line(reading).replace(path, config).rstrip(".")
            raise Refused(f"dockerd --validate refuses the new file: {words}.")

    return validate


def _difference(wanted: DaemonSettings, has: DaemonSettings) -> str:
    """CDI is left out: `features` count from the daemon's next start on."""
    return difference("Docker", Runtimes(wanted.runtimes, wanted.default), Runtimes(has.runtimes, has.default))


def settings_of(raw: bytes | None) -> DaemonSettings:
    """Returns what a file says of runtimes; nothing for no file, or for one that gpuctl does not understand."""
    try:
        return settings(raw or b"")
    except NotAccepted:
        return DaemonSettings({}, "")


def _validates(docker: Docker, program: str) -> bool:
    """Whether that program is the daemon that runs: what another one thinks of the file is of no use."""
    daemon, process = docker.daemon.value, docker.process.value
    if daemon is None or process is None or compare(leading(daemon.version) or "0", VALIDATES_SINCE) < 0:
        return False
    return same_file(f"/proc/{process.pid}/exe", program)


def _last_line(reading: Reading) -> str:
    return said_line(reading.detail or reading.text, -1) or f"exit status {reading.code}"
