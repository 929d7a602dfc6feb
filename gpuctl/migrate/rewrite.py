"""One `docker run` rewritten: what maps the driver by hand goes, the same GPUs are asked for in the target's way."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator

from gpuctl.command import quoted
from gpuctl.compat.knowledge.driver_parts import ALL_CAPABILITIES
from gpuctl.compat.knowledge.run_options import run_options
from gpuctl.engines.spans import Span
from gpuctl.frozen import dataclass
from gpuctl.migrate import survey as of
from gpuctl.migrate.by_hand import PATHS, WHY_ALL, lacking
from gpuctl.migrate.gpus import USUAL, cdi_names, gpus_value, names
from gpuctl.migrate.migration import Change, Gpus, Left, Target
from gpuctl.migrate.run_command import NVIDIA_DOCKER, Option, OtherCall, RunCommand
from gpuctl.migrate.survey import CAPABILITIES, VISIBLE, Survey
from gpuctl.regex import regex
from gpuctl.shell import Word

WAYS = {
    Target.DOCKER: "--gpus",
    Target.DOCKER_18_09: "--runtime=nvidia",
    Target.DOCKER_CDI: "--device nvidia.com/gpu=…",
    Target.PODMAN: "--device nvidia.com/gpu=…",
    Target.QUADLET: "AddDevice=nvidia.com/gpu=…",
}
NARROWER = (
    "if it is against `Resource temporarily unavailable`, --pids-limit=-1, --ulimit nproc=-1 or, before Docker"
    " 20.10.10, --security-opt seccomp=unconfined give less away"
)
"""What --privileged may have been for besides GPUs: a limit of tasks, or a filter of system calls older than the C
library (https://docs.docker.com/engine/release-notes/20.10/, "clone3")."""
_SEPARATORS = regex(r"(?:[ \t]|\\\r?\n)+")
_ASKS_PRIVILEGES = regex(
    r"/dev(?!/shm|/null)|/sys|/proc|/boot|/lib/(?:modules|firmware)|/usr/src|/etc/udev|/var/lib/docker"
    r"|(?:/var)?/run/(?:udev|dbus|docker\.sock)|/.*lib(?:ibverbs|rdmacm|mlx[45])|/etc/rdma"
)
"""What a container is given that drives hardware, or the host; libraries of InfiniBand need its devices."""
_OPTION_OF_GPUS = regex(r" --\S*(?:gpu|nvidia)")
_PRIVILEGES = ("--cap-add", "--security-opt", "--pid", "--cgroupns", "--userns", "--uts", "--cgroup-parent", "--sysctl")


@dataclass(frozen=True)
class Rewriting:
    """The edits of a command, and what there is to say of them."""

    edits: tuple[Span, ...] = ()
    changes: tuple[Change, ...] = ()
    left: tuple[Left, ...] = ()


def rewriting(text: str, run: RunCommand, target: Target, line: Callable[[int], int]) -> Rewriting:
    """Returns how a command that stands in a text is rewritten for the target; `line` numbers the text's places.

    Where it cannot be told which GPUs the command gives, nothing is changed, and that is said.
    """
    return _Writer(text, run, target, line).done()


class _Writer:
    """Gathers the edits of one command."""

    def __init__(self, text: str, run: RunCommand, target: Target, line: Callable[[int], int]) -> None:
        self.text, self.run, self.target, self.line = text, run, target, line
        self.found = of.survey(run)
        self.edits: list[Span] = []
        self.changes: list[Change] = []
        self.left: list[Left] = []
        self.gone: set[Option] = set()

    def done(self) -> Rewriting:
        found, run = self.found, self.run
        try:
            gpus = of.asked(run, found)
        except ValueError as reason:
            if not self._may_stay():
                return self._all_left(str(reason))
            gpus = None
        if gpus is None and (found.mounts or found.nodes) and not self._may_stay():
            return self._all_left("it maps the driver, and no GPU of which gpuctl could tell that it is meant")
        if gpus is not None or self._may_stay():
            self._write(gpus)
            self._engine()
        elif self.target is Target.QUADLET:
            self._engine()
        for option in found.unsure:
            self._leave(option, found.why_unsure)
        if run.doubt and (self.edits or run.is_cut_off or self._may_mean_gpus()):
            return self._all_left(run.doubt)
        return Rewriting(tuple(self.edits), tuple(self.changes), tuple(self.left))

    def _may_mean_gpus(self) -> bool:
        """Whether a command that is not understood as a whole has signs of GPUs, or a mistyped option for them."""
        start, end = self.run.command.start, self.run.command.end
        return bool(of.SIGNS.search(self.text, start, end) or _OPTION_OF_GPUS.search(self.run.doubt))

    def _may_stay(self) -> bool:
        """Whether the request is the target's own, and may stay whatever it says: `--gpus "$GPUS"`."""
        found = self.found
        if found.by_hand or found.cdi or self.run.engine != "docker":
            return False
        if self.target is Target.DOCKER:
            return bool(found.flags) and not found.doubt
        runtime = bool(found.runtime) and not found.flags and self.run.name != NVIDIA_DOCKER
        return self.target is Target.DOCKER_18_09 and runtime

    def _all_left(self, why: str) -> Rewriting:
        start, end = self.run.command.start, self.run.command.end
        return Rewriting(left=(Left(_one_line(self.text[start:end]), why, self.line(start)),))

    def _write(self, gpus: Gpus | None) -> None:
        """Writes the request for these GPUs; None for those of --gpus, which stays."""
        is_kept = gpus is None or self._asks_so(gpus)
        gpus = gpus or Gpus()
        more = self._capabilities(gpus)
        new = " ".join((*([] if is_kept else self._request(gpus)), *more))
        gone = list(self._gone(gpus, is_kept, WAYS[self.target]))
        first = next((option for option, _ in gone), None)
        if first and more:
            why = WHY_ALL if ALL_CAPABILITIES in more[-1] else "what is mapped shows which capabilities it needs"
            gone[0] = first, f"{gone[0][1]}; {why}"
        if new and first is None:
            self._insert(new, f"it asks for the GPUs that {self.run.name} gave")
        if self.run.name == NVIDIA_DOCKER and (assigned := of.assigned(self.run)):
            word = self.run.words[assigned[0]]
            self._edit(word.start, self.run.words[assigned[0] + 1].start, "", "only nvidia-docker reads it")
        gone += [*self._paths(), *self._privileged()]
        self._cut(sorted(gone, key=lambda one: _place(one[0])), new, first)
        for option in self.found.wholes:
            self._leave(option, "a folder of more than the driver: map what the container needs of it by itself")
        for option in self.found.beside:
            self._leave(option, "it lies among one driver's files, and the toolkit does not bring it: the image should")

    def _asks_so(self, gpus: Gpus) -> bool:
        """Whether the command asks for these GPUs in the target's way already."""
        found = self.found
        if self.target is Target.DOCKER_18_09:
            runtime = bool(found.runtime) and not (found.flags or found.cdi) and self.run.name != NVIDIA_DOCKER
            return runtime and of.by_runtime(self.run, found) == gpus
        if self.target is Target.DOCKER and self.run.engine != "docker":  # Podman's --gpus means something else
            return False
        forms = (found.flags, found.cdi) if self.target is Target.DOCKER else (found.cdi,)
        others = () if self.target is Target.DOCKER else found.flags
        return any(forms) and not others and of.native(self.run, found) == gpus

    def _request(self, gpus: Gpus) -> list[str]:
        if self.target is Target.DOCKER:
            return ["--gpus", quoted(gpus_value(gpus))]
        if self.target is Target.DOCKER_18_09:
            words = ["--runtime=nvidia", "-e", f"{VISIBLE}={','.join(names(gpus))}"]
            return words + (["-e", f"{CAPABILITIES}={','.join(gpus.capabilities)}"] if gpus.capabilities else [])
        return [word for name in cdi_names(gpus) for word in ("--device", name)]

    def _capabilities(self, gpus: Gpus) -> list[str]:
        """Words that ask for what the mapped libraries show; a CDI specification brings all of the driver."""
        if self.target not in (Target.DOCKER, Target.DOCKER_18_09):
            return []
        given = self.run.variables(CAPABILITIES)
        if given and "=" not in given[-1].value:  # it is what the caller has
            return []
        asked = (*USUAL, *gpus.capabilities) if gpus.capabilities else ()
        said = given[-1].value.partition("=")[2] if given else ",".join(asked)
        more = lacking(self.found.capabilities, said)
        if not more:
            return []
        if given:
            at = self.run.words[given[-1].last].end
            quote = self.text[at - 1] in "'\""
            why = f"a mapped library shows that it needs {', '.join(more)}"
            self._edit(at - quote, at - quote, f"{',' * bool(said)}{','.join(more)}", why)
            return []
        words = more if more == (ALL_CAPABILITIES,) else (*USUAL, *more)
        return ["-e", f"{CAPABILITIES}={','.join(words)}"]

    def _gone(self, gpus: Gpus, is_kept: bool, way: str) -> Iterator[tuple[Option, str]]:
        """Yields the options that go, and why; first those that name GPUs, in whose place the new request comes."""
        found, by_runtime = self.found, self.target is Target.DOCKER_18_09
        nodes = [(option, gpu) for option in found.nodes if (gpu := of.gpu_of_node(option))]
        more = "" if gpus.ids == found.by_hand else " and others"
        yield from ((option, f"{way} asks for GPU {gpu}{more}") for option, gpu in nodes)
        if not is_kept:
            yield from ((option, f"{way} asks for them") for option in (*found.flags, *found.cdi))
        if not (is_kept and by_runtime):
            yield from ((option, f"{way} gives the GPUs") for option in found.runtime)
            if found.runtime or found.is_by_hand or self.run.name == NVIDIA_DOCKER:
                yield from ((option, f"{way} names the GPUs") for option in found.visible)
        named = {option for option, _ in nodes}
        yield from ((option, "the toolkit brings it with any GPU") for option in found.nodes if option not in named)
        yield from ((mount.option, "the toolkit brings the driver of each host") for mount in found.mounts)
        yield from ((option, "it only served what was mapped by hand") for option in found.leftovers)

    def _cut(self, gone: list[tuple[Option, str]], new: str, first: Option | None) -> None:
        """Takes options out, in their order; the new request stands where the first that asked for GPUs stood."""
        run = list[Option]()
        self.gone |= {option for option, _ in gone}
        for option, why in gone:
            start, end = self.run.words[option.first].start, self.run.words[option.last].end
            instead = new if option is first else ""
            self._say(start, self.text[start:end], instead, why)
            if instead or option.letter > 1 or (run and run[-1].last + 1 != option.first):
                self._cut_out(run)
                run = []
            if option.letter > 1:
                self._cut_letters(option, instead)
            elif instead:
                self.edits.append((start, end, instead))
            else:
                run.append(option)
        self._cut_out(run)

    def _cut_out(self, run: list[Option]) -> None:
        """Takes options out that follow each other, with the blanks behind them, or before them at a line's end."""
        if not run:
            return
        words = self.run.words
        start, end = words[run[0].first].start, words[run[-1].last].end
        before, behind = words[run[0].first - 1].end, end
        if run[-1].last + 1 < len(words):
            behind = words[run[-1].last + 1].start
        if "\n" in self.text[end:behind] and _SEPARATORS.fullmatch(self.text, before, start):
            self.edits.append((before, end, ""))
        else:
            self.edits.append((start, behind if _SEPARATORS.fullmatch(self.text, end, behind) else end, ""))

    def _cut_letters(self, option: Option, new: str) -> None:
        """Takes an option out behind other letters, which stay: -itv /a:/b."""
        first, last = self.run.words[option.first], self.run.words[option.last]
        self.edits += [(*place, "") for place in first.places(option.letter, len(first.value))]
        if option.last > option.first:
            self.edits.append((first.end, last.end, ""))
        if new:
            self.edits.append((last.end, last.end, f" {new}"))

    def _insert(self, new: str, why: str) -> None:
        verb = self.run.words[self.run.verb]
        self._edit(verb.end, verb.end, f" {new}", why)

    def _edit(self, start: int, end: int, new: str, why: str) -> None:
        self.edits.append((start, end, new))
        self._say(start, self.text[start:end], new, why)

    def _say(self, start: int, old: str, new: str, why: str) -> None:
        self.changes.append(Change(_one_line(old), new.strip(), why, self.line(start)))

    def _leave(self, option: Option, why: str) -> None:
        first, last = self.run.words[option.first], self.run.words[option.last]
        self.left.append(Left(_one_line(self.text[first.start : last.end]), why, self.line(first.start)))

    def _paths(self) -> Iterator[tuple[Option, str]]:
        """Takes out of LD_LIBRARY_PATH and its like what lay in a mount that goes. Yields those that are left empty."""
        gone = frozenset(mount.target.rstrip("/") for mount in self.found.mounts)
        folders = frozenset(posixpath.dirname(mount.target) for mount in self.found.mounts)
        for option in (option for name in PATHS for option in self.run.variables(name)):
            entries = list(_entries(option))
            kept = [entry for entry in entries if not _lies_in(entry[2], gone, folders)]
            if entries and not kept:
                yield option, "it only served what was mapped by hand"
            elif len(kept) < len(entries):
                self._take_out(option, entries, frozenset(kept))

    def _take_out(self, option: Option, entries: list[_Entry], kept: frozenset[_Entry]) -> None:
        word, last_kept = self.run.words[option.last], max(kept)[0]
        places = tuple(word.places(option.at, len(word.value)))
        for start, end, entry in (one for one in entries if one not in kept):
            # With the colon behind it, or before it where nothing that stays follows.
            first, last = (start, end + 1) if last_kept > start else (start - 1, end)
            self.edits += [(*place, "") for place in places[first:last]]
            self._say(word.start, entry, "", "nothing lies there any more")

    def _privileged(self) -> Iterator[tuple[Option, str]]:
        """Yields --privileged where it served the GPUs alone."""
        for option in self.run.given("--privileged"):
            if option.is_false:
                continue
            others = next(_other_privileges(self.run, self.found), "")
            if not self.found.is_by_hand:
                others = "GPUs that the engine gives do not need it"
            if others:
                self._leave(option, f"{others}: what it is for, gpuctl cannot tell; {NARROWER}")
            else:
                yield option, f"nothing else than the mapped GPUs asked for it; {NARROWER}"

    def _engine(self) -> None:
        """Makes the target's program of another."""
        run, engine = self.run, _engine_of(self.target)
        if run.name == engine:
            return
        self.edits += _renamed(run.words[run.program], run.name, engine)
        self.changes.append(_program_change(run.words[run.program], run.name, engine, self.line))
        known = run_options(engine)
        for option in run.options:
            if option.name not in known and option not in self.gone:
                self._leave(option, f"{engine} has no option {option.name}")


def rewriting_of_call(text: str, call: OtherCall, target: Target, line: Callable[[int], int]) -> Rewriting:
    """Returns how a command of nvidia-docker that makes no container is rewritten: docker does all of them itself."""
    word, engine = call.words[call.program], _engine_of(target)
    if call.may_run:
        whole = _one_line(text[call.words[0].start : call.words[-1].end])
        return Rewriting(left=(Left(whole, "only the shell knows whether it starts a container", line(word.start)),))
    change = _program_change(word, NVIDIA_DOCKER, engine, line)
    return Rewriting(tuple(_renamed(word, NVIDIA_DOCKER, engine)), (change,))


def _engine_of(target: Target) -> str:
    return "podman" if target in (Target.PODMAN, Target.QUADLET) else "docker"


def _renamed(word: Word, name: str, engine: str) -> list[Span]:
    """The edits that put another program in a word's end, which is its name behind the folder."""
    first, *rest = word.places(len(word.value) - len(name), len(word.value))
    return [(*first, engine), *((*place, "") for place in rest)]


def _program_change(word: Word, name: str, engine: str, line: Callable[[int], int]) -> Change:
    why = f"{engine} is what the target runs containers by"
    if name == NVIDIA_DOCKER and engine == "docker":
        why = "nvidia-docker is no more than docker with a runtime"
    return Change(name, engine, why, line(word.start))


_Entry = tuple[int, int, str]
"""Where an entry of a list such as PATH begins and ends in the option's value, and what it says."""


def _entries(option: Option) -> Iterator[_Entry]:
    at = option.value.find("=") + 1
    for entry in option.value[at:].split(":") if at else ():
        yield at, at + len(entry), entry
        at += len(entry) + 1


def _lies_in(entry: str, gone: Iterable[str], folders: Iterable[str]) -> bool:
    entry = entry.rstrip("/")
    if any(entry == target or entry.startswith(f"{target}/") for target in gone if target):
        return True
    return entry in folders and ("nvidia" in entry or "driver" in entry)


def _other_privileges(run: RunCommand, found: Survey) -> Iterator[str]:
    """Yields what besides GPUs may ask for --privileged."""
    own = {*found.nodes, *found.cdi, *(mount.option for mount in found.mounts)}
    for name in _PRIVILEGES:
        yield from (f"{name} {option.value} asks for more" for option in run.given(name))
    for option in run.given("--device"):
        if option not in own:
            yield f"--device {option.value} asks for more"
    for option in (*run.given("--volume"), *run.given("--mount")):
        bind = of.bind_of(option)
        if bind and option not in own and _ASKS_PRIVILEGES.match(bind[1]):
            yield f"the mount of {bind[1]} asks for more"


def _place(option: Option) -> tuple[int, int]:
    return option.first, option.letter


def _one_line(text: str) -> str:
    return _SEPARATORS.sub(" ", text).strip()
