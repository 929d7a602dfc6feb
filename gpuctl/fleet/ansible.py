"""Hosts asked through Ansible: it gives access, inventory and rights; what it says is handed on as it comes.

ansible-runner starts ansible-playbook and reads its events. All that gpuctl sets it sets in that program's environment,
for this run; the user's ansible.cfg, host keys, ssh arguments and become stay as they are.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Full, Queue
from threading import Event
from typing import Any

from gpuctl.bounds import plain
from gpuctl.fleet.ansible_said import sentence
from gpuctl.fleet.inventory import unreadable, without_hosts
from gpuctl.fleet.payload import MODULE, NONE, hosts_in, playbook
from gpuctl.fleet.run_folder import MOST_HOSTS, checked_name
from gpuctl.fleet.shards import most_at_once, shards
from gpuctl.fleet.states import Told, told
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import adopt_orphans, ansible_words, ask_ansible, end_descendants
from gpuctl.host.act.secret import handed
from gpuctl.host.decode import object_in, parse_object
from gpuctl.host.look.capacity import Capacity, capacity
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.write.scratch import scratch

LIST_DEADLINE = 300.0
"""Seconds for an inventory, which may ask a cloud."""
FORK_MEMORY = 100
"""Megabytes that are kept free for a fork: 15 were measured, and others saw more."""
FORKS_A_CORE = 25
FILES_A_FORK = 8
POLL = 1
"""Seconds after which ansible-runner looks whether it is to stop."""
WAITING = 64
"""Events that wait to be written down."""
LONGEST_RESULT = 16 << 20
"""Characters. ansible-runner hands on nothing of a result that is longer than its own limit of 700,000."""
LINES = 20
"""Of what Ansible says of itself, the last: kept for the case that it ends without an answer."""
RunnerEvent = Mapping[str, Any]
Run = Callable[[Callable[[RunnerEvent], bool], Callable[[], bool]], int]
"""Asks hosts, hands on each event, looks whether it is to stop, and returns Ansible's exit code."""
PLAY_BEGINS = "playbook_on_play_start"
HOST_EVENTS = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable")
NEEDED = {"ansible": "ansible-core", "ansible_runner": "ansible-runner", "tomli": "tomli"}
"""Modules of the extra, and the packages that they come in."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_HOST = re.compile(rf"{_PLAIN_NAME.pattern}|\[?[0-9A-Fa-f:.]{{2,45}}\]?")
_GROUPS = frozenset(("all", "ungrouped"))
"""Which every inventory has: no host of that name can be told from them."""
_HOST_KEYS = "ANSIBLE_HOST_KEY_CHECKING"
_NAME = re.compile(r"    (\S.*)")
_LATE = "The inventory has not named its hosts within {:.0f} s."
_MUTE = "Ansible ended before it had named the inventory's hosts, and does not say why."
_NOBODY = "leaves us with no hosts to target"
_ANSWERS = (
    (re.compile(r"continue connecting \(yes/no.*\)\? *$", re.MULTILINE), "no"),
    (re.compile(r"Enter passphrase for key .*: *$", re.MULTILINE), ""),
    (re.compile(r"^(?:SSH|BECOME|Vault) password.*: *$", re.MULTILINE), ""),
)
"""What ssh and Ansible ask at a terminal, and would wait for: nobody is there who could answer for so many hosts."""


class EngineProblem(Exception):
    """Ansible does not do what it is asked. The message is a sentence."""


@dataclass(frozen=True)
class Target:
    """Which hosts are meant, in Ansible's words: inventories, or names with a comma behind, and a pattern."""

    inventories: tuple[str, ...]
    limit: str | None = None


@dataclass(frozen=True)
class Access:
    """How the hosts are entered. `deadline`: seconds for one host. `password`: the one to become root with."""

    become: bool = False
    password: str | None = None
    deadline: int = 60


@dataclass(frozen=True)
class Play:
    """What hosts are asked: to run `module`, a text. `end`: the moment, by time.monotonic, at which those are given up
    that have not answered.
    """

    target: Target
    access: Access
    module: str
    end: float
    pipelining: bool = True


@dataclass(frozen=True)
class Named:
    """The hosts that are meant, as Ansible names them when it has read the inventory. `asks`: it asks them, too."""

    hosts: tuple[str, ...]
    asks: bool


Answer = tuple[str, Told]
"""A host, and what it answers."""


def missing() -> str:
    """Returns the name of a package of the extra that is not installed, "" where all are."""
    return next((title for name, title in NEEDED.items() if find_spec(name) is None), "")


def named(hosts: Sequence[str]) -> str:
    """Returns an inventory of these hosts alone. Raises ValueError for what is no host's name."""
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no name or address of a host")
    return "".join(f"{host}," for host in hosts)


def host_names(target: Target, end: float) -> tuple[str, ...]:
    """Returns the hosts that are meant, in the inventory's order. Raises EngineProblem where there are none.

    `end`: the moment, by time.monotonic, at which the inventory is given up.
    """
    named = _names(target)
    if named:
        return named
    _check_inventories(target)
    asked = ["all", "--list-hosts", *_inventories(target)]
    asked += ["--limit", target.limit] if target.limit is not None else []
    said = _listed("adhoc", asked, end)
    if _NOBODY in said.detail:
        raise EngineProblem(f"No host of the inventory matches {plain(target.limit or 'all')}.")
    names = tuple(found[1] for line in _text(said).splitlines() if (found := _NAME.fullmatch(line)))
    if not names and target.limit is not None:
        raise EngineProblem(f"No host of the inventory matches {plain(target.limit)}.")
    if not names and not target.inventories:
        raise EngineProblem("Ansible has no inventory of its own here: name one with -i, or hosts with --hosts.")
    if not names:
        told = ("The inventory has no hosts.", *map(without_hosts, target.inventories))
        raise EngineProblem(" ".join(filter(None, told)))
    return _checked(names)


def _checked(names: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(map(checked_name, names))
    except ValueError as error:
        raise EngineProblem(f"In the inventory, {error}.") from None


def _check_inventories(target: Target) -> None:
    for path in target.inventories:
        why = "" if "," in path else unreadable(path)
        if why:
            raise EngineProblem(f"{plain(path)} is no inventory: {why}.")


def _names(target: Target) -> tuple[str, ...]:
    """The hosts of a target that is nothing but their names, for which nobody need ask Ansible; else none."""
    if target.limit is not None or len(target.inventories) != 1:
        return ()
    first, comma, rest = target.inventories[0].partition(",")
    names = tuple(dict.fromkeys((first, *rest.rstrip(",").split(","))))
    return names if comma and all(map(_PLAIN_NAME.fullmatch, names)) and not _GROUPS.intersection(names) else ()


def _listed(program: str, asked: Sequence[str], end: float) -> Reading:
    """What a program of Ansible's says of the inventory. Raises EngineProblem where it says nothing in time."""
    seconds = _left_to_list(end)
    said = ask_ansible(program, asked, _settings(), seconds)
    if said.outcome is Outcome.TIMEOUT:
        raise EngineProblem(_LATE.format(seconds))
    return said


def _left_to_list(end: float) -> float:
    return max(1.0, min(LIST_DEADLINE, end - time.monotonic()))


def _text(said: Reading) -> str:
    """What a program of Ansible's printed. Raises EngineProblem where it could not read the inventory."""
    if not said.ok:
        raise EngineProblem(sentence(said.detail) or "Ansible cannot read the inventory.")
    return said.text


def host_variable(target: Target, name: str, end: float) -> dict[str, str]:
    """Returns a variable of the inventory by host, of those that have it as a text or number. Raises EngineProblem.

    `end` as for `host_names`.
    """
    asked = ["--list", *_inventories(target), *(["--limit", target.limit] if target.limit is not None else [])]
    text = _text(_listed("inventory", asked, end))
    try:
        hosts = object_in(object_in(parse_object(text), "_meta"), "hostvars")
    except ValueError as error:
        raise EngineProblem(f"What ansible-inventory lists is not understood: {error}.") from None
    told = {host: values.get(name) for host, values in hosts.items() if isinstance(values, dict)}
    return {host: str(value) for host, value in told.items() if isinstance(value, (str, int))}


def forks(hosts: int, room: Capacity) -> int:
    """Returns how many hosts are asked at once: more than 25 a core slow a run down."""
    return max(1, min(hosts, FORKS_A_CORE * room.cores, room.free // FORK_MEMORY, room.files // FILES_A_FORK))


@contextmanager
def named_and_asked(play: Play) -> Iterator[tuple[tuple[str, ...], Iterator[Answer]]]:
    """Gives the hosts that are meant, in the inventory's order, and what each answers as it comes, as `answers` does.

    One Ansible does both, and reads the inventory once. Raises EngineProblem where there are none.
    """
    _check_inventories(play.target)
    room, seconds = capacity(), _left_to_list(play.end)
    late = time.monotonic() + seconds
    adopt_orphans()
    with ExitStack() as stack:
        width = forks(MOST_HOSTS, room)  # of fewer hosts Ansible itself asks no more than there are
        run = _prepared(stack, play, width, most=most_at_once(room))
        stack.callback(end_descendants)
        coming = stack.enter_context(merged([run], play.end))
        try:
            first = next(coming, None)
        except EngineProblem:
            host_names(play.target, play.end)  # which says in a sentence what is wrong with the inventory
            raise
        if not isinstance(first, Named):
            raise EngineProblem(_LATE.format(seconds) if time.monotonic() >= late else _MUTE)
        hosts = first.hosts or host_names(play.target, play.end)
        yield hosts, _asked(coming) if first.asks else answers(play, hosts)


def answers(play: Play, hosts: Sequence[str]) -> Iterator[Answer]:
    """Yields what each host answers as it comes; a host may have none. Raises EngineProblem where none has, and why."""
    if not hosts or time.monotonic() >= play.end:
        return
    room = capacity()
    parts = shards(hosts, room)
    width = max(1, forks(len(hosts), room) // len(parts))
    adopt_orphans()
    with ExitStack() as stack:
        runs = [_prepared(stack, play, width, part) for part in parts]
        stack.callback(end_descendants)  # each ssh that Ansible has left alone after the task's timeout
        yield from _asked(stack.enter_context(merged(runs, play.end)))


def _asked(coming: Iterator[Named | Answer]) -> Iterator[Answer]:
    return (one for one in coming if not isinstance(one, Named))


def _prepared(
    stack: ExitStack, play: Play, width: int, hosts: Sequence[str] | None = None, most: int | None = None
) -> Run:
    """What asks these hosts, `width` at once, by an Ansible of its own; None: all that are meant, of up to `most` in
    the inventory. Its folder is there as long as the stack is.
    """
    files = {
        f"library/{MODULE}.py": play.module.encode(),
        "play.yml": playbook(play.access.become, most).encode(),
        "hosts": "".join(f"{name}\n" for name in hosts or ()).encode(),
    }
    folder = stack.enter_context(scratch(files, private=True))
    limit = play.target.limit if hosts is None else f"@{folder}/hosts"
    words = [f"{folder}/play.yml", *_inventories(play.target), *([] if limit is None else ["--limit", limit])]
    if play.access.password is not None:
        words += ["--become-password-file", stack.enter_context(handed(play.access.password, folder))]
    settings = _settings(f"{folder}/library", width, play.access.deadline, play.pipelining)
    return lambda hand_on, is_over: _run(folder, words, settings, hand_on, is_over)


def _inventories(target: Target) -> list[str]:
    return [f"--inventory={one}" for one in target.inventories]


def _settings(library: str = "", width: int = 1, deadline: int = 0, pipelining: bool = True) -> dict[str, str]:
    """What is set for one run, in the environment of Ansible's programs."""
    return {
        "LC_ALL": "C.UTF-8",  # Ansible refuses to start in another encoding, which cron has
        "ANSIBLE_ANY_ERRORS_FATAL": "False",
        "ANSIBLE_CALLBACKS_ENABLED": "minimal",  # none: it takes no empty list, and leaves out what is for stdout
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_FORKS": str(width),
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_KEEP_REMOTE_FILES": "False",  # it would end pipelining
        "ANSIBLE_LIBRARY": library,
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "False",
        "ANSIBLE_NO_LOG": "False",
        "ANSIBLE_PIPELINING": str(pipelining),
        "ANSIBLE_SSH_PIPELINING": str(pipelining),
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_STRATEGY": "linear",
        "ANSIBLE_TASK_TIMEOUT": str(deadline),
        "ANSIBLE_VERBOSITY": "0",
        "MAX_EVENT_RES": str(LONGEST_RESULT),
    }


@contextmanager
def merged(runs: Sequence[Run], end: float) -> Iterator[Iterator[Named | Answer]]:
    """Gives what comes of the hosts while all runs go on, each in a thread; whatever ends the body ends them too."""
    coming: Queue[RunnerEvent | None] = Queue(WAITING)
    stopped, listed = Event(), Event()
    end_of_list = time.monotonic() + _left_to_list(end)

    def is_over() -> bool:
        return stopped.is_set() or time.monotonic() > (end if listed.is_set() else end_of_list)

    def hand_on(event: RunnerEvent | None) -> bool:
        """Says that ansible-runner is not to keep the event in a file."""
        if event and event.get("event") == PLAY_BEGINS:
            listed.set()
        while not stopped.is_set():
            with suppress(Full):
                coming.put(event, timeout=POLL)
                break
        return False

    def ended(run: Run) -> int:
        try:
            return run(hand_on, is_over)
        finally:
            hand_on(None)

    waits = [begin(partial(ended, run)) for run in runs]
    events = (event for _ in runs for event in iter(coming.get, None))  # each run ends with one None
    try:
        yield _of_hosts(events, waits, is_over)
    finally:
        stopped.set()
        for wait in waits:
            wait()


def _of_hosts(
    events: Iterator[RunnerEvent], waits: Sequence[Callable[[], int]], is_over: Callable[[], bool]
) -> Iterator[Named | Answer]:
    answered = False
    said: deque[str] = deque(maxlen=LINES)
    for event in events:
        data = event.get("event_data") or {}
        if event.get("event") == PLAY_BEGINS:
            yield _named(data)
        elif event.get("event") in HOST_EVENTS and isinstance(data.get("host"), str):
            answered = True
            yield data["host"], told(event["event"], data.get("res") or {})
        else:
            said.append(str(event.get("stdout") or ""))
    code = max(wait() for wait in waits)
    if code and not answered and not is_over():
        raise EngineProblem(sentence("\n".join(said)) or f"Ansible ended with {code} and does not say why.")


def _named(data: Mapping[str, Any]) -> Named:
    try:
        hosts = hosts_in(str(data.get("name")))
    except ValueError as error:
        raise EngineProblem(f"Ansible does not name the hosts of its play: {error}.") from None
    return Named(_checked(hosts), data.get("pattern") != NONE)


def _run(
    folder: str,
    words: Sequence[str],
    settings: Mapping[str, str],
    hand_on: Callable[[RunnerEvent], bool],
    is_over: Callable[[], bool],
) -> int:
    """Runs ansible-playbook, and returns its exit code."""
    from ansible_runner import Runner, RunnerConfig

    config = RunnerConfig(folder, playbook="play.yml", fact_cache_type="memory", envvars=dict(settings))
    config.prepare()  # it forgets settings that it was handed where there is no file of them: they are set here
    config.expect_passwords = {**dict(_ANSWERS), **config.expect_passwords}
    config.pexpect_timeout, config.suppress_output_file, config.suppress_ansible_output = POLL, True, True
    config.command = ansible_words("playbook", words)
    config.cwd = str(Path.cwd())  # there, the user's own ansible.cfg may lie
    config.env.pop("ORIGINAL_STDOUT_CALLBACK", None)
    users = LocalHost().env(_HOST_KEYS)  # without one, ansible-runner has made it False
    config.env = {**config.env, _HOST_KEYS: users.text} if users.ok else _without(config.env, _HOST_KEYS)
    runner = Runner(config, event_handler=hand_on, cancel_callback=lambda: is_over() and _stop())
    runner.run()
    return int(runner.rc or 0)


def _stop() -> bool:
    """Ends each Ansible with its ssh, as ansible-runner would."""
    end_descendants()
    return True


def _without(environment: Mapping[str, str], name: str) -> dict[str, str]:
    return {one: value for one, value in environment.items() if one != name}
