"""Runs a command in another root: `python -I -S pivot.py ROOT COMMAND…`.

The command keeps the process id, and sees the root read-only, with a /run of its own; /proc, /sys and /dev are
the machine's, and so is /tmp, where it shares files with those outside. Not chroot: runc has to pivot_root
itself, which takes a / that is a mount.
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 0x20, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2
SHARED = ("proc", "sys", "dev", "tmp")
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source, target, kind=None, flags=0):
    raw = [text and text.encode() for text in (source, target, kind)]
    checked(LIBC.mount(raw[0], raw[1], raw[2], ctypes.c_ulong(flags), None))


def enter(root):
    checked(LIBC.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount(root, root, flags=MS_BIND)
    mount("none", root, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    for place in SHARED:
        mount("/" + place, root + "/" + place, flags=MS_BIND | MS_REC)
    mount("tmpfs", root + "/run", "tmpfs")
    os.chdir(root)
    checked(LIBC.pivot_root(b".", b"."))
    checked(LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/")


def main():
    root, *argv = sys.argv[1:]
    enter(root)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point


main()
