"""The text of a new Dockerfile, each instruction with the reason for it."""

from __future__ import annotations

import posixpath
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from functools import cached_property

from gpuctl.compat.versions import parse_cuda
from gpuctl.dockerfile.app.wants import Wants
from gpuctl.dockerfile.base import ChosenBase, named
from gpuctl.dockerfile.carried import Carried
from gpuctl.dockerfile.framework import ChosenFramework
from gpuctl.dockerfile.old_image import OldImage
from gpuctl.dockerfile.quoting import escaped, exec_form
from gpuctl.dockerfile.said import absolute
from gpuctl.frozen import dataclass
from gpuctl.model import Verdict
from gpuctl.regex import regex

USER, UID = "app", 10001
"""A user of its own, with an id that no distribution gives to others, and that Kubernetes can tell is not root's."""
PLACE, VENV = "/app", "/opt/venv"
_WIDTH, _SHOWN = 100, 5
_OPENING = "Build it in "
_PATH = regex(r"(?:/[A-Za-z0-9_.@%+-]+)+")
"""A path that COPY takes as it stands: it holds no pattern, variable or blank."""
_USER_NAME = regex(r"([a-z_][a-z0-9_-]{0,31})(?::[a-z_][a-z0-9_-]{0,31})?")
_USER_ID = regex(r"\d{1,10}(?::\d{1,10})?")
_STEPS = {
    "apt": ("apt-get update", "apt-get install -y --no-install-recommends", "rm -rf /var/lib/apt/lists/*"),
    "dnf": ("dnf install -y --setopt=install_weak_deps=False", "dnf clean all"),
    "yum": ("yum install -y", "yum clean all"),
}
"""The steps of an installation, by package manager: the one but last takes the packages."""
_HOW = {
    Verdict.COMPATIBLE: "runs",
    Verdict.LIMITED: "runs with the limits of minor-version compatibility",
    Verdict.NEEDS_PACKAGE: "runs by the cuda-compat package that the image carries",
}


@dataclass(frozen=True)
class DockerfileParts:
    """All that a Dockerfile is written of. `hosts`: for people; `application`: whether a folder is copied."""

    hosts: str
    base: ChosenBase
    capabilities: tuple[str, ...]
    problems: tuple[str, ...]
    wants: Wants | None
    application: bool
    old: OldImage | None
    carried: Carried | None
    framework: ChosenFramework | None = None

    @cached_property
    def place(self) -> str:
        """Where the application lies in the image."""
        old = posixpath.normpath(self.old.run.workdir or "/") if self.old else "/"
        return old if _PATH.fullmatch(old) else PLACE

    @cached_property
    def taken(self) -> tuple[str, ...]:
        """The folders that are copied from the old image."""
        if self.application or self.old is None:
            return ()
        workdir = posixpath.normpath(self.old.run.workdir or "/")
        folders = self.old.contents.roots if self.old.contents else (workdir,)
        return tuple(path for path in folders if _PATH.fullmatch(path))

    @cached_property
    def stays_root(self) -> bool:
        """Whether the application lies in root's own folder, which others may not enter, and was root's before."""
        places = (self.place, *self.taken)
        return self._was_root and any(f"{path}/".startswith("/root/") for path in places)

    @property
    def _was_root(self) -> bool:
        return self.carried is None or self.carried.is_roots

    @cached_property
    def owner(self) -> str:
        """Who runs the application, "" for root."""
        if self.stays_root:
            return ""
        user = "" if self.carried is None or self._was_root else self.carried.user
        return user if _USER_NAME.fullmatch(user) or _USER_ID.fullmatch(user) else f"{UID}:{UID}"


def dockerfile_text(draft: DockerfileParts) -> str:
    """Returns the Dockerfile."""
    parts = (_head, _stages, _installation, _framework, _driver, _variables, _user, _files, _as_before, _start)
    return "\n\n".join(block for part in parts for block in part(draft)) + "\n"


def is_ours(raw: bytes) -> bool:
    """Returns whether a file was written here, so that another may take its place."""
    return raw.startswith(_comment(_OPENING).encode()) or not raw.strip()


def _head(draft: DockerfileParts) -> Iterator[str]:
    where = "the application's folder" if draft.application else "an empty folder"
    lines = (f"{_OPENING}{where}: docker build -t NAME -f THIS_FILE .", "Run it: docker run --gpus all NAME")
    yield "\n".join(map(_comment, (*lines, *(f"TODO: {problem}" for problem in draft.problems))))


def _stages(draft: DockerfileParts) -> Iterator[str]:
    if draft.old and draft.taken:
        yield _block(
            "Of the old image only the application is taken over.", f"FROM {draft.old.config.reference} AS old"
        )
    image = draft.base.image
    cuda = ".".join(map(str, parse_cuda(image.row.cuda)[:2]))
    which = "in which the application finds what it needs" if draft.wants else f"of the flavour {draft.base.flavour}"
    which += f" for {draft.framework.name}" if draft.framework else ""
    how = _HOW[image.verdict or Verdict.COMPATIBLE]
    yield _block(
        f"CUDA {cuda} {how} on {draft.hosts}; of the tags that do, the newest {which}.", f"FROM {image.reference}"
    )


def _installation(draft: DockerfileParts) -> Iterator[str]:
    system = draft.base.system
    wanted = [(one.package.name, one.file, named(one.users)) for one in draft.base.installs]
    if system.user_tools and any(_user(draft)):
        wanted.append((system.user_tools, "useradd", "the user below"))
    if not wanted:
        return
    names = dict.fromkeys(sorted(name for name, _, _ in wanted))
    *before, install, after = _STEPS[system.manager]
    packages = " \\\n        ".join((install, *map(shlex.quote, names)))
    reasons = [f"{name}: {file}, for {users}" for name, file, users in wanted]
    comment = map(_comment, ("One layer: the lists are as new as what is installed, and gone at its end.", *reasons))
    yield "\n".join((*comment, "RUN " + " \\\n    && ".join((*before, packages, after))))


def _framework(draft: DockerfileParts) -> Iterator[str]:
    chosen = draft.framework
    if chosen is None:
        return
    words = " ".join(map(shlex.quote, chosen.pip_words))
    brings = (
        "brings its own libraries of CUDA" if chosen.install.flavour == "base" else "uses the base's CUDA and cuDNN"
    )
    yield _block(
        f"{chosen.name}, which {brings}, in an environment beside the system's Python {draft.base.system.python}.",
        "RUN " + " \\\n    && ".join((f"python3 -m venv {VENV}", f"{VENV}/bin/pip install --no-cache-dir {words}")),
        _in_front("PATH", (f"{VENV}/bin",)),
    )


def _driver(draft: DockerfileParts) -> Iterator[str]:
    yield _block(
        "All GPUs that the container is given, and those parts of the driver that the application uses.",
        "ENV " + _lines(("NVIDIA_VISIBLE_DEVICES=all", f"NVIDIA_DRIVER_CAPABILITIES={','.join(draft.capabilities)}")),
    )


def _variables(draft: DockerfileParts) -> Iterator[str]:
    carried = draft.carried
    own = [posixpath.join(draft.place, folder).rstrip("/") for folder in draft.wants.folders] if draft.wants else []
    if draft.wants and not draft.application:  # the old image's files, by their whole paths
        own = ["/" + folder for folder in draft.wants.folders]
    libraries = dict.fromkeys([*own, *(carried.libraries if carried else ())])
    if libraries:
        yield _block(
            "Where the application's own libraries lie, in front of what the base has.",
            _in_front("LD_LIBRARY_PATH", tuple(libraries)),
        )
    if carried and carried.programs:
        yield _block("Programs of the old image, in front of what the base has.", _in_front("PATH", carried.programs))
    if carried and carried.env:
        yield _block("As the old image had them.", "ENV " + _lines(carried.env))


def _in_front(name: str, folders: Sequence[str]) -> str:
    """Folders in front of a variable's value: without one no colon is left, which would mean the current folder."""
    return f'ENV {name}="{escaped(":".join(folders))}${{{name}:+:${name}}}"'


def _user(draft: DockerfileParts) -> Iterator[str]:
    name = _USER_NAME.fullmatch(draft.owner)
    if name:
        made = f"id -u {name[1]} >/dev/null 2>&1 || useradd --create-home {name[1]}"
        yield _block("The old image's user, where the base does not have it.", f"RUN {made}")
    elif draft.owner == f"{UID}:{UID}":
        made = f"useradd --create-home --uid {UID} {USER}"
        yield _block("No program needs to be root to use a GPU.", f"RUN {made}")


def _files(draft: DockerfileParts) -> Iterator[str]:
    chown = f"--chown={draft.owner} " if draft.owner else ""
    if draft.application:
        yield f"WORKDIR {draft.place}\nCOPY {chown}. {draft.place}/"
    elif draft.taken:
        workdir = [draft.carried.workdir] if draft.carried and draft.carried.workdir else []
        yield "\n".join((*workdir, *(f"COPY {chown}--from=old {path} {path}" for path in draft.taken)))
    removed = [path for path in _driver_files(draft) if path.isprintable()]
    if removed:
        yield _block(
            "The toolkit brings the host's driver, which a copy of another one would hide.",
            "RUN rm -f " + _lines([shlex.quote(path) for path in removed]),
        )


def _driver_files(draft: DockerfileParts) -> tuple[str, ...]:
    if draft.application and draft.wants:
        return tuple(posixpath.join(draft.place, path) for path in draft.wants.driver_files)
    contents = draft.old.contents if draft.old else None
    parts = absolute((*contents.empty, *contents.driver)) if contents else ()
    return tuple(path for path in parts if any(path.startswith(folder + "/") for folder in draft.taken))


def _as_before(draft: DockerfileParts) -> Iterator[str]:
    if draft.carried and draft.carried.others:
        yield _block("As the old image had it.", *draft.carried.others)


def _start(draft: DockerfileParts) -> Iterator[str]:
    if draft.owner:
        yield f"USER {draft.owner}"
    else:
        yield _comment("It stays root's, since the application lies in /root, which no other user may enter.")
    if draft.carried and draft.carried.start:
        yield "\n".join(draft.carried.start)
        return
    entries = draft.wants.entries if draft.application and draft.wants else ()
    if len(entries) == 1:
        yield f"CMD {exec_form([posixpath.join(draft.place, entries[0])])}"
    elif entries:
        shown = ", ".join(posixpath.join(draft.place, path) for path in entries[:_SHOWN])
        yield _comment(f"TODO: CMD, as it is not known by which of its programs it starts ({shown}).")


def _lines(words: Sequence[str]) -> str:
    return " \\\n    ".join(words)


def _block(comment: str, *instructions: str) -> str:
    return "\n".join((_comment(comment), *instructions))


def _comment(text: str) -> str:
    """A comment. In others' words a line break would begin an instruction."""
    safe = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return "\n".join(textwrap.wrap(safe, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_long_words=False))
