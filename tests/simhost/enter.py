"""Runs a command inside a simulated host: `python -I -S enter.py PLAN`, PLAN being marshal's hexadecimals from host.py.

In a mount namespace of its own the command sees the real machine's files through an overlay, and over it the
host's own /proc, /sys, /dev and /run. /tmp is the real one, because a dockerd outside shares its files there.

procfs has no place for /proc/modules on a kernel without modules and cannot be written to. So /proc becomes a
tmpfs of symbolic links: to the real one in /proc/.real, or to the simulated file in /proc/.sim. Of processes that begin
later it has the numbers up to PLAN's `later`: for a host that stays, in a process namespace of its own.

It is started thousands of times: json and tempfile would take most of its time to load.
"""

import ctypes
import marshal
import os
import stat
import sys
import time

PR_SET_DUMPABLE = 4
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
SHARED = ("/etc/crio",)
"""What a daemon reads while gpuctl changes it: of two overlays on one folder, neither sees what the other replaces."""
NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source, target, kind=None, flags=0, options=None):
    raw = [text and text.encode() for text in (source, target, kind, options)]
    checked(LIBC.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), raw[3]))


def enter(plan):
    root, new = plan["root"], plan["root"] + "/new"
    checked(LIBC.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    others = other_mounts()
    # A work directory for each run: two overlays must not share one.
    work = "%s/work/%d-%d" % (root, os.getpid(), time.monotonic_ns())
    os.mkdir(work)
    mount("overlay", new, "overlay", options="lowerdir=%s/hidden:/,upperdir=%s/upper,workdir=%s" % (root, root, work))
    for place in others:
        mount(place, new + place, flags=MS_BIND)
    for place in filter(os.path.isdir, (root + "/upper" + place for place in SHARED)):
        mount(place, new + place[len(root + "/upper") :], flags=MS_BIND)
    mount("/tmp", new + "/tmp", flags=MS_BIND | MS_REC)
    mount(root + "/run", new + "/run", flags=MS_BIND)
    mount(root + "/sys", new + "/sys", flags=MS_BIND)
    mount("/sys/fs/cgroup", new + "/sys/fs/cgroup", flags=MS_BIND | MS_REC)
    if plan["real_proc"]:
        mount("/proc", new + "/proc", flags=MS_BIND | MS_REC)
    else:
        make_proc(new + "/proc", root + "/proc", plan["hidden_pids"], plan["later"])
    make_dev(new + "/dev", plan["nodes"])
    os.chroot(new)
    os.chdir(plan["cwd"])


def other_mounts():
    """Mount points of other file systems, which an overlay of / does not show."""
    with open("/proc/self/mountinfo") as file:
        places = [line.split()[4] for line in file]
    ours = ("/proc", "/sys", "/dev", "/run", "/tmp")
    return [place for place in places if place != "/" and not (place + "/").startswith(tuple(p + "/" for p in ours))]


def make_proc(target, simulated, hidden, later):
    mount("proc", target, "tmpfs", options="mode=555")
    os.mkdir(target + "/.real")
    os.mkdir(target + "/.sim")
    mount("/proc", target + "/.real", flags=MS_BIND | MS_REC)
    mount(simulated, target + "/.sim", flags=MS_BIND)
    ours = os.listdir(simulated)
    for name in ours:
        os.symlink(".sim/" + name, target + "/" + name)
    begun_later = map(str, range(1, later + 1))
    for name in {*os.listdir("/proc"), *begun_later} - set(ours) - set(hidden):
        os.symlink(".real/" + name, target + "/" + name)


def make_dev(target, nodes):
    mount("dev", target, "tmpfs", options="mode=755")
    os.umask(0)
    for name, minor in NODES.items():
        os.mknod(target + "/" + name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    os.mknod(target + "/tty", stat.S_IFCHR | 0o666, os.makedev(5, 0))
    for path, mode, major, minor in nodes:
        os.makedirs(os.path.dirname(target + "/" + path), 0o755, exist_ok=True)
        os.mknod(target + "/" + path, stat.S_IFCHR | mode, os.makedev(major, minor))
    os.umask(0o022)
    for name in ("pts", "shm"):
        os.mkdir(target + "/" + name)
        mount("/dev/" + name, target + "/" + name, flags=MS_BIND)
    os.symlink("pts/ptmx", target + "/ptmx")
    os.symlink("/proc/self/fd", target + "/fd")


def become(uid, needed):
    """Drops to `uid`, to whom the directories above `needed` are opened, in the overlay: /tmp is the real one."""
    for path in needed:
        while path not in ("/", "/tmp"):
            if not path.startswith("/tmp/"):
                os.chmod(path, os.stat(path).st_mode | 0o111)
            path = os.path.dirname(path)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # for one that goes on without an exec: its /proc/self is its own


def into(plan):
    """Has this process go on in there."""
    enter(plan)
    if plan["uid"]:
        become(plan["uid"], plan["needed"])
    if plan["closed_stdin"]:
        os.close(0)


def main():
    plan = marshal.loads(bytes.fromhex(sys.argv[1]))  # noqa: S302 - from host.py
    into(plan)
    try:
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])  # noqa: S606 - no shell is the point
    except FileNotFoundError as error:
        sys.exit("%s: %s" % (plan["argv"][0], error.strerror))


if __name__ == "__main__":
    main()
