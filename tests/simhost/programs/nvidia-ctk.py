"""nvidia-ctk: generates a CDI specification of the device nodes that it finds, and lists devices.

gpusim.json beside this program says, optionally: driver (in the libraries' names), mounts (paths of the
host), hook (a program that it calls), cdi (the specification's version), or cdi_error (what `cdi generate` fails with).
"""

import glob
import json
import os
import re
import sys

with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "gpusim.json")) as file:
    SETTINGS = json.load(file)
MOUNT = "  - hostPath: %s\n    containerPath: %s\n    options:\n    - ro\n    - nosuid\n    - nodev\n    - bind\n"


def edits(paths):
    return "".join("    - path: %s\n" % path for path in paths)


def generate():
    """Where the real one reads NVML and the linker's cache, this one goes by /dev and its settings."""
    if "cdi_error" in SETTINGS:
        sys.exit(SETTINGS["cdi_error"])
    gpus = sorted(glob.glob("/dev/nvidia[0-9]*"))
    devices = [(re.sub(r"\D", "", os.path.basename(gpu)), [gpu]) for gpu in gpus] + [("all", gpus)]
    print("---\ncdiVersion: %s\nkind: nvidia.com/gpu\ndevices:" % SETTINGS.get("cdi", "0.5.0"))
    for name, nodes in devices if gpus else ():
        print('- name: "%s"\n  containerEdits:\n    deviceNodes:\n%s' % (name, edits(nodes)), end="")
    print("containerEdits:\n  env:\n  - NVIDIA_VISIBLE_DEVICES=void\n  deviceNodes:")
    shared = sorted([*glob.glob("/dev/nvidia-uvm*"), "/dev/nvidiactl"])
    print("".join("  - path: %s\n" % path for path in shared), end="")
    if SETTINGS.get("hook"):
        print("  hooks:\n  - hookName: createContainer\n    path: %s" % SETTINGS["hook"])
    if SETTINGS.get("mounts"):
        print("  mounts:\n" + "".join(MOUNT % (path, path) for path in SETTINGS["mounts"]), end="")


def names():
    for path in sorted(glob.glob("/etc/cdi/*.yaml") + glob.glob("/var/run/cdi/*.yaml")):
        with open(path) as spec:
            yield from re.findall(r'^- name: "?([^"\n]+)"?$', spec.read(), re.MULTILINE)


def listed():
    found = sorted(set(names()))
    print("Found %d CDI devices" % len(found), file=sys.stderr)
    print("".join("nvidia.com/gpu=%s\n" % name for name in found), end="")


def shown():
    try:
        Config()  # noqa: F821 - of config.py, which stands before this when it is installed
    except ValueError as error:
        sys.exit("unable to create config: %s" % error)
    print(SETTINGS.get("config", ""), end="")


if sys.argv[1:3] == ["cdi", "generate"]:
    generate()
elif sys.argv[1:3] == ["cdi", "list"]:
    listed()
elif sys.argv[1:2] == ["config"]:
    shown()
