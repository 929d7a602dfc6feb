"""A simulated GPU host: what its kernel shows and what is installed on it; runs real commands inside it."""

from __future__ import annotations

import marshal
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from . import warm
from .bed import Bed, Profile
from .dockerd import DOCKERD, Dockerd
from .kernel import (
    NVIDIA_MODULES,
    Node,
    PciFunction,
    bound_driver,
    driver_nodes,
    kernel_files,
    pci_attributes,
    profile_pci,
)
from .process import Done, finish
from .toolkit import NAMES, Toolkit

LAUNCHER = Path(__file__).parent / "enter.py"
REPOSITORY = Path(__file__).parents[2]
LIBRARIES = f"/usr/lib/{os.uname().machine}-linux-gnu"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the real machine may have, and a host has only when the test says so.
NEVER_SHOWN = (
    "/.dockerenv",
    "/boot",
    "/etc/apt",
    "/etc/cdi",
    "/etc/containerd",
    "/etc/crio",
    "/etc/dnf",
    "/etc/docker",
    "/etc/gpuctl",
    "/etc/X11/xorg.conf",
    "/etc/X11/xorg.conf.d",
    "/etc/nvidia-container-runtime",
    "/etc/prime-discrete",
    "/etc/supergfxd.conf",
    "/etc/yum.repos.d",
    "/etc/zypp",
    "/lib/firmware/nvidia",
    "/lib/modules",
    "/usr/local/nvidia",
    "/var/cache/gpuctl",
    "/var/lib/apt",
    "/var/lib/dkms",
    "/var/lib/dpkg",
    "/var/lib/gpuctl",
    "/var/lib/kubelet",
    "/var/lib/rpm",
    "/var/log",
    "/usr/bin/kubectl",
    "/usr/bin/nvidia-smi",
    *(f"/usr/bin/{name}" for name in NAMES),
)
# Its package manager knows of no package: what another one does to the machine meanwhile is nothing to it.
OWN_FOLDERS = (
    "/etc/apt/sources.list.d",
    "/var/lib/apt/lists/partial",
    "/var/lib/dpkg/info",
    "/var/lib/dpkg/updates",
    "/var/log",
)
DISKS = """#!/bin/sh
echo 'Filesystem     1024-blocks      Used Available Capacity Mounted on'
echo '/dev/sim         419430400 104857600 314572800      25% /'
"""
ENGINES = ("dockerd", "containerd", "podman", "rootlesskit")


class SimHost:
    """A host with a profile's GPUs. By default the driver is healthy and there is no Docker and no toolkit.

    profile   a name in the table, or None for a host without GPUs, driver and NVIDIA programs
    pci       PCI functions in place of the profile's GPUs and their audio functions
    modules   names of loaded modules in place of those of the driver
    nodes     device nodes in place of those of the driver
    userland  whether nvidia-smi, libnvidia-ml and libcuda are installed
    files     texts by absolute path; also below /proc, /sys and /run
    links     symbolic links' targets by absolute path
    absent    paths of the real machine that this host lacks
    commands  scripts (with their #! line) by name, found first on PATH
    toolkit   its directory is on PATH
    dockerd   the one that this host sees, by DOCKER_HOST and in /proc; all others are hidden
    env       variables for all its commands, which inherit none of the test's

    Changes that commands make to files outside /tmp stay with the host; `path` says where. What the real machine has
    and the host lacks is hidden by a layer between the two, so that a test may write in its place at any time.
    """

    def __init__(
        self,
        bed: Bed,
        profile: str | None = "v100",
        *,
        pci: Sequence[PciFunction] | None = None,
        modules: Sequence[str] | None = None,
        open_module: bool = False,
        nodes: Sequence[Node] | None = None,
        userland: bool = True,
        files: Mapping[str, str] = {},
        links: Mapping[str, str] = {},
        absent: Iterable[str] = (),
        commands: Mapping[str, str] = {},
        toolkit: Toolkit | None = None,
        dockerd: Dockerd | None = None,
        env: Mapping[str, str] = {},
    ) -> None:
        # An overlay's upper directory must not lie in its lower file system: /dev/shm is another one.
        self.root = Path(tempfile.mkdtemp(prefix="simhost-", dir="/dev/shm"))
        self.root.chmod(0o755)
        for part in ("upper/tmp", "hidden", "work", "new", "proc", "run", "sys/fs/cgroup"):
            (self.root / part).mkdir(parents=True)
        self.dockerd = dockerd
        self.profile = bed.profiles[profile] if profile else None
        loaded = self.profile is not None and self.profile.module != ""
        if modules is None:
            modules = NVIDIA_MODULES if loaded else ()
        if pci is None:
            pci = profile_pci(self.profile, bound_driver(modules))
        if nodes is None:
            nodes = driver_nodes(len(self.profile.gpus)) if self.profile and "nvidia" in modules else ()
        self.nodes = tuple(nodes)
        self.env = self._environment(toolkit, env)
        self._write_all(kernel_files(self.profile, modules, open_module))
        self._plug(pci)
        if self.profile and userland:
            self._install_driver(bed, self.profile)
        programs = {f"/usr/local/sbin/{name}": script for name, script in {"df": DISKS, **commands}.items()}
        if dockerd and dockerd.program != [DOCKERD]:
            programs[DOCKERD] = f'#!/bin/sh\nexec {shlex.join(dockerd.program)} "$@"\n'
        self._write_all(programs, mode=0o755)
        self._write_all(files)
        for place, target in links.items():
            self._parent(place).symlink_to(target)
        for folder in OWN_FOLDERS:
            self.path(folder).mkdir(parents=True, exist_ok=True)
        self._parent("/var/lib/dpkg/status").touch()
        for place in (*NEVER_SHOWN, *absent):
            self._hide(place)

    def run(self, argv: Sequence[str], *, stdin: str | None = "", timeout: float = 300, **options: Any) -> Done:
        """The result of a command; `stdin` None means closed. `options` are those of `popen`.

        Raises subprocess.TimeoutExpired after `timeout` seconds, the command and its children killed.
        """
        pipe = subprocess.PIPE
        process = self.popen(argv, closed_stdin=stdin is None, stdin=pipe, stdout=pipe, stderr=pipe, **options)
        return finish(process, stdin or "", timeout)

    def gpuctl(
        self, *argv: str, stdin: str | None = "", strace: Sequence[str] = (), timeout: float = 300, **options: Any
    ) -> Done:
        """The result of `gpuctl ARGV…` of this working tree: see warm.py. `options` are those of `plan`."""
        plan = self.plan(argv, closed_stdin=stdin is None, **options)
        if plan["env"]["PYTHONPATH"] != str(REPOSITORY):  # another gpuctl than the one that is loaded
            return self.run([sys.executable, "-m", "gpuctl", *argv], stdin=stdin, timeout=timeout, **options)
        done = warm.gpuctl(*argv, stdin=stdin or "", env=plan["env"], plan=plan, strace=strace, timeout=timeout)
        return Done(done.returncode, done.stdout, done.stderr)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Starts a command in a session of its own; the returned process is the command itself.

        `options` are those of `plan`, and Popen's.
        """
        ours = {name: options.pop(name) for name in signature(self.plan).parameters if name in options}
        return subprocess.Popen(self.launch(argv, **ours), start_new_session=True, **options)

    def launch(self, argv: Sequence[str], **options: Any) -> list[str]:
        """Returns the command by which another than the test, such as a daemon, runs a command in there.

        `options` are those of `plan`.
        """
        return [sys.executable, "-I", "-S", str(LAUNCHER), marshal.dumps(self.plan(argv, **options)).hex()]

    def plan(
        self,
        argv: Sequence[str],
        *,
        uid: int = 0,
        cwd: str = "/",
        env: Mapping[str, str] = {},
        closed_stdin: bool = False,
        real_proc: bool = False,
        later: int = 0,
    ) -> dict[str, Any]:
        """Returns what enter.py does for a command.

        `real_proc` shows it the machine's own /proc: an OCI runtime makes nothing of links in its place. `later`: up to
        which number processes are seen in its /proc that begin later.
        """
        return {
            "root": str(self.root),
            "nodes": [[node.name, node.mode, node.major, node.minor] for node in self.nodes],
            "hidden_pids": hidden_engines(self.dockerd.pid if self.dockerd else None),
            "needed": [sys.prefix, sys.base_prefix, str(REPOSITORY)],
            "argv": list(argv),
            "env": {**self.env, **env},
            "uid": uid,
            "cwd": cwd,
            "closed_stdin": closed_stdin,
            "real_proc": real_proc,
            "later": later,
        }

    def path(self, path: str) -> Path:
        """Where a file that the host has of its own lies on the real machine: given, or written by a command."""
        for own in ("/proc", "/sys", "/run"):
            if path.startswith(own + "/"):
                return self.root / path.lstrip("/")
        # The parent is resolved: /sbin written as a directory would hide the link to /usr/sbin.
        parent, name = os.path.split(path)
        return self.root / "upper" / os.path.realpath(parent).lstrip("/") / name

    def close(self) -> None:
        """Removes the host."""
        shutil.rmtree(self.root)

    def _environment(self, toolkit: Toolkit | None, env: Mapping[str, str]) -> dict[str, str]:
        path = [SYSTEM_PATH, str(Path(sys.executable).parent)]
        if toolkit:
            path.insert(0, str(toolkit.directory))
        values = {"PATH": ":".join(path), "HOME": "/home/sim", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
        if self.profile:
            values["GPUSIM_PROFILE"] = self.profile.name
        if self.dockerd:
            values["DOCKER_HOST"] = self.dockerd.host
        (self.root / "upper/home/sim").mkdir(parents=True)
        (self.root / "upper/home/sim").chmod(0o1777)  # a home of whoever runs there
        return {**values, **env}

    def _parent(self, path: str) -> Path:
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _write_all(self, files: Mapping[str, str], mode: int = 0o644) -> None:
        for path, text in files.items():
            place = self._parent(path)
            place.write_text(text)
            place.chmod(mode)

    def _hide(self, path: str) -> None:
        parent, name = os.path.split(path)
        place = self.root / "hidden" / os.path.realpath(parent).lstrip("/") / name
        if os.path.lexists(path) and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))

    def _plug(self, functions: Sequence[PciFunction]) -> None:
        (self.root / "sys/bus/pci/devices").mkdir(parents=True)
        (self.root / "sys/module").mkdir(exist_ok=True)
        for function in functions:
            self._plug_one(function)

    def _plug_one(self, function: PciFunction) -> None:
        bus = self.root / "sys/bus/pci"
        device = f"devices/pci{function.address[:7]}/{function.address}"
        self._write_all({f"/sys/{device}/{name}": text for name, text in pci_attributes(function).items()})
        (bus / "devices" / function.address).symlink_to(f"../../../{device}")
        (self.root / "sys" / device / "subsystem").symlink_to("../../../bus/pci")
        if function.driver:
            (bus / "drivers" / function.driver).mkdir(parents=True, exist_ok=True)
            (self.root / "sys" / device / "driver").symlink_to(f"../../../bus/pci/drivers/{function.driver}")

    def _install_driver(self, bed: Bed, profile: Profile) -> None:
        shutil.copy(bed.smi, self._parent("/usr/bin/nvidia-smi"))
        for name, built in (("libnvidia-ml.so", bed.library), ("libcuda.so", bed.cuda)):
            shutil.copy(built, self._parent(f"{LIBRARIES}/{name}.{profile.driver}"))
            self._parent(f"{LIBRARIES}/{name}.1").symlink_to(f"{name}.{profile.driver}")
        # Every profile's cache is the same, and ldconfig takes half a second.
        cache = bed.library.parent / "ld.so.cache"
        if not cache.exists():
            self.run(["ldconfig"])
            shutil.copy(self.path("/etc/ld.so.cache"), cache)
        shutil.copy(cache, self._parent("/etc/ld.so.cache"))


def hidden_engines(shown: int | None) -> list[str]:
    """Process ids of all container engines but the one that is shown."""
    pids = [entry for entry in os.listdir("/proc") if entry.isdigit() and entry != str(shown)]
    return [pid for pid in pids if _name(pid).startswith(ENGINES)]


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:  # of each process, for each command in a host
            return file.read().decode()
    except OSError:  # It has ended meanwhile.
        return ""
