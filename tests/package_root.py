"""An isolated root in which real package managers work: this machine's files under an overlay, without its network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simhost.process import Done, finish, until

DRIVER = Path(__file__).with_name("package_driver.py")
_SOURCES = (
    "etc/apt/sources.list.d",
    "etc/apt/preferences.d",
    "etc/yum.repos.d",
    "etc/zypp/repos.d",
    "var/lib/apt/lists",
    "var/lib/dpkg/updates",
)
_STATUS = Path("/var/lib/dpkg/status")
# All of it ends with the process: the mounts with their namespace, the commands with theirs.
_ENTER = """
set -eu
new=$1 upper=$2 work=$3 places=$4 server=$5; shift 5
ip link set lo up
if [ "$server" ]; then
    "$server" -m http.server --bind 127.0.0.1 --directory "${places##* }" 80 </dev/null >/dev/null 2>&1 &
    until (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null; do sleep 0.02; done
fi
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$work" "$new"
for place in $places; do mkdir -p "$new$place"; mount --rbind "$place" "$new$place"; done
mount --rbind /dev "$new/dev"
mount -t proc proc "$new/proc"
mount -t tmpfs tmpfs "$new/run"
exec chroot "$new" "$@"
"""


class PackageRoot:
    """What is done in it stays until it is closed, and nowhere else.

    `place` is a folder that is the same in and out. `os_release` makes it another distribution's, whose packages come
    over HTTP: there the folder is http://127.0.0.1. The package managers know no repository at first, and no package
    of the toolkit.
    """

    def __init__(self, place: Path, os_release: str | None = None) -> None:
        self.place = place
        self._server = sys.executable if os_release else ""
        self._folder = Path(tempfile.mkdtemp(prefix="packages-"))
        self._folder.chmod(0o755)
        for name in ("upper", "new"):
            (self._folder / name).mkdir()
        for name in _SOURCES:
            self._empty(name)
        if _STATUS.exists():
            self.write(str(_STATUS), _settled(_STATUS.read_text()))
        if os_release:
            self.write("/etc/os-release", os_release)
            self.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")  # Debian has it in each user's home
            self.write("/etc/dnf/plugins/local.conf", "[main]\nenabled = false\n")

    def _empty(self, folder: str) -> None:
        """Hides what this machine has there, as a layer of an overlay does."""
        hidden = self._folder / "upper" / folder
        hidden.mkdir(parents=True)
        hidden.chmod(0o755)
        os.setxattr(hidden, "trusted.overlay.opaque", b"y")

    def path(self, path: str) -> Path:
        """Returns where a file that was written in there lies."""
        return self._folder / "upper" / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        """Writes a file before the next command."""
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Starts a command in there."""
        work = tempfile.mkdtemp(dir=self._folder, prefix="work-")
        checkout = DRIVER.parents[1]
        places = " ".join(str(one) for one in (checkout, sys.prefix, sys.base_prefix, self.place))
        folders = (str(self._folder / "new"), str(self._folder / "upper"), work, places)
        inside = ("bash", "-c", _ENTER, "bash", *folders, self._server, *argv)
        return subprocess.Popen(
            ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", *inside),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *argv: str, stdin: str = "") -> Done:
        """Returns how a command in there ended."""
        return finish(self.start(*argv), stdin)

    def drive(self, verb: str, **wish: Any) -> Mapping[str, Any]:
        """Returns what the driver answers."""
        done = self.run(sys.executable, str(DRIVER), verb, stdin=json.dumps(wish))
        assert done.code == 0, done.err
        return dict(done.json)

    def cut_power(self, seen: str, verb: str, **wish: Any) -> None:
        """Kills the driver, and all that it started, once a file is there."""
        process = self.start(sys.executable, str(DRIVER), verb)
        assert process.stdin
        process.stdin.write(json.dumps(wish).encode())
        process.stdin.close()
        assert until(lambda: self.path(seen).exists() or process.poll() is not None) and process.poll() is None
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(first), signal.SIGKILL)  # and unshare ends when the last one in there has
        process.wait()

    def installed(self) -> dict[str, str]:
        """Returns the toolkit's packages that dpkg or rpm knows, with their versions and states."""
        if self.path("etc/os-release").exists():
            said = self.run("rpm", "-qa", "--qf", "%{NAME} %{VERSION}\n", "*nvidia*").out
        else:
            said = self.run("dpkg-query", "-W", "-f", "${Package} ${Version}/${db:Status-Status}\n", "*nvidia*").out
        return dict(line.split() for line in said.splitlines() if not line.endswith("/not-installed"))

    def close(self) -> None:
        shutil.rmtree(self._folder)


def _settled(status: str) -> str:
    """What dpkg knows to be installed: what another one is about to install on this machine is nothing to the root."""
    packages = [one for one in status.split("\n\n") if " ok installed\n" in one]
    return "\n\n".join(packages) + "\n\n"
