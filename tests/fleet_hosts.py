"""Hosts for `gpuctl fleet`, on this machine: each has its own network, processes, copy-on-write root and sshd.

No container engine and no image: namespaces, an overlay over this machine's own root, a bridge without a way out. Needs
root, openssh-server, sudo and iproute2. What is to be ill about a host is a script that runs in it before its sshd.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simhost import until

ROOT = Path(__file__).parents[1]
NETWORKS = 50 * 250
"""From 10.200.0.0/24 to 10.249.249.0/24."""
KEYS = "curve25519-sha256"
"""How hosts agree on a key: what ssh takes of itself withstands quantum computers, and 70 ms for each connection."""
INSIDE = f"""\
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
for needed in "$3" "$4"; do
    case $needed in
        /tmp/* | /run/*) mkdir -p ".$needed" && mount --bind "$needed" ".$needed" ;;
    esac
done
mount --rbind /dev dev
rm -rf root/.[a-z]*rc root/.*profile root/.ssh  # the Pythons and the keys of whoever runs the tests
mkdir -p run/sshd root/.ssh .old
cp "$1/../id.pub" root/.ssh/authorized_keys
chmod 700 root/.ssh
cp "$1/key" etc/ssh/of_test_key
chmod 600 etc/ssh/of_test_key
cp "$1/prepare" run/prepare
hostname "$2"
echo "$2" > etc/hostname
pivot_root . .old
umount -l /.old
cd /
. /run/prepare
exec /usr/sbin/sshd -D -e -f /dev/null -h /etc/ssh/of_test_key -o PidFile=none -o UsePAM=no -o UseDNS=no \\
    -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o PermitRootLogin=prohibit-password \\
    -o PrintMotd=no -o "Subsystem sftp /usr/lib/openssh/sftp-server" -o MaxStartups=100 -o KexAlgorithms={KEYS}
"""
OPERATOR = """\
useradd -m -s /bin/bash ops
mkdir -p ~ops/.ssh /etc/sudoers.d
cp /root/.ssh/authorized_keys ~ops/.ssh
chown -R ops ~ops/.ssh
echo ops:{password} | chpasswd
"""
"""A user who is not root and has a password; sudoers says what he may."""
PASSWORD = "open sesame 7"  # noqa: S105
PYTHON = "/usr/bin/python3"
"""Of every host that is not ill: where an inventory names none, Ansible looks for it, by one more connection a host."""


@dataclass(frozen=True)
class Network:
    """A network of this machine's own, by its number among NETWORKS."""

    number: int

    @property
    def prefix(self) -> str:
        """With what its addresses begin."""
        return f"10.{200 + self.number // 250}.{self.number % 250}"

    @property
    def bridge(self) -> str:
        """What the hosts' cables end in."""
        return f"gb{self.number}"

    def cable(self, host: int) -> str:
        """Returns the near end of a host's cable."""
        return f"gv{self.number}n{host}"

    def netns(self, host: str) -> str:
        """Returns a host's network namespace, as ip-netns(8) names it."""
        return f"gpuctl-{self.number}-{host}"


@dataclass(frozen=True)
class Host:
    """A host that is up, by its name, its address and its network namespace."""

    name: str
    address: str
    netns: str
    process: subprocess.Popen[bytes]

    def does(self, script: str) -> str:
        """What a shell prints there that is none of a controller's: it came by no ssh."""
        (first,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        argv = ["nsenter", f"--target={first}", "--all", "--root", "--wd", "sh", "-c", script]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout

    def kill(self) -> None:
        """Ends all that runs on it, as a power cut does."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Hosts:
    """The hosts that are up, where the key lies with which they are entered, and what each inventory says of all."""

    folder: Path
    hosts: Mapping[str, Host]
    network: Network
    told: Mapping[str, str]

    def written(self, name: str) -> Path:
        """Where all lies that a host has written to its disk: what it has of this machine is not there."""
        return self.folder / "hosts" / name / "upper"

    def inventory(self, *names: str, user: str = "root", **variables: str) -> Path:
        """Returns an inventory of these hosts, or all."""
        chosen = [self.hosts[name] for name in names or self.hosts]
        ssh = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=yes"
        told = {
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.folder / "id"),
            "ansible_ssh_common_args": ssh,
            "ansible_ssh_args": "-o ControlMaster=no",  # each run on its own, not over an open connection
            **self.told,
            **variables,
        }
        lines = [*(f"{one.name} ansible_host={one.address}" for one in chosen), "[all:vars]"]
        file = self.folder / f"inventory-{len(list(self.folder.glob('inventory-*')))}.ini"
        file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in told.items())]) + "\n")
        return file


@contextmanager
def hosts(folder: Path, prepared: Mapping[str, str], **told: str) -> Iterator[Hosts]:
    """Gives hosts by their names, each with what is done in it before it is reached; none is left afterwards.

    `told`: what each inventory says of all of them.
    """
    up: dict[str, Host] = {}
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id"))
    _run("mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "tmpfs", str(_made(folder / "hosts")))
    network = _network()
    try:
        (folder / "hosts" / "id.pub").write_text((folder / "id.pub").read_text())
        _run("ip", "address", "add", f"{network.prefix}.254/24", "dev", network.bridge)
        _run("ip", "link", "set", network.bridge, "up")
        for number, (name, script) in enumerate(prepared.items(), 1):
            up[name] = _host(folder, network, name, number, script)
        for host in up.values():
            _wait_for(host)
        yield Hosts(folder, up, network, told)
    finally:
        for host in up.values():
            host.kill()
        for number, name in enumerate(prepared, 1):  # the cable too: its other end lives as long as a connection does
            for what in (("link", "del", network.cable(number)), ("netns", "del", network.netns(name))):
                subprocess.run(["ip", *what], capture_output=True)
        subprocess.run(["ip", "link", "del", network.bridge], capture_output=True)
        _run("umount", "-l", str(folder / "hosts"))


def _network() -> Network:
    """A network whose bridge no other process has, nor has one that was killed left it."""
    first = os.getpid()
    for number in range(first, first + NETWORKS):
        network = Network(number % NETWORKS)
        if not subprocess.run(["ip", "link", "add", network.bridge, "type", "bridge"], capture_output=True).returncode:
            return network
    raise AssertionError("no bridge can be made")


def _host(folder: Path, network: Network, name: str, number: int, script: str) -> Host:
    place, netns, address = folder / "hosts" / name, network.netns(name), f"{network.prefix}.{number}"
    cable = network.cable(number)
    for part in ("upper", "work", "root"):
        _made(place / part)
    (place / "prepare").write_text(script)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key"))
    kind, key = (place / "key.pub").read_text().split()[:2]
    with (folder / "known_hosts").open("a") as known:
        known.write(f"{address} {kind} {key}\n")
    _run("ip", "netns", "add", netns)
    _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", netns)
    _run("ip", "link", "set", cable, "master", network.bridge, "up")
    _run("ip", "-n", netns, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("eth0", "lo"):
        _run("ip", "-n", netns, "link", "set", device, "up")
    apart = ("unshare", "--mount", "--uts", "--pid", "--ipc", "--fork", "--kill-child")
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", netns, *apart, "bash", "-c", INSIDE, name, str(place), name, str(ROOT), sys.prefix],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Host(name, address, netns, process)


def _wait_for(host: Host) -> None:
    def answers() -> bool:
        try:
            socket.create_connection((host.address, 22), 1).close()
        except OSError:
            return False
        return True

    assert until(lambda: answers() or host.process.poll() is not None) and host.process.poll() is None, host.name


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
