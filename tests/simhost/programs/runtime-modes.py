"""nvidia-container-runtime as far as device rules go: just-in-time CDI, and legacy where its name ends so.

The first tells runc which devices it gives; the second has the hook open them.
"""

import json
import os
import sys

NODES = ("/dev/nvidiactl", "/dev/nvidia0")
HOOK = "/usr/bin/nvidia-container-runtime-hook"


def just_in_time(spec):
    spec["hooks"] = {}  # that of --gpus is taken away
    for node in NODES:
        number = os.stat(node).st_rdev
        device = {"type": "c", "major": os.major(number), "minor": os.minor(number)}
        spec["linux"].setdefault("devices", []).append({"path": node, "fileMode": 0o666, **device})
        spec["linux"]["resources"]["devices"].append({"allow": True, "access": "rwm", **device})


def legacy(spec):
    prestart = spec.setdefault("hooks", {}).setdefault("prestart", [])
    prestart.append({"path": HOOK, "args": [HOOK, "prestart"]})


def main():
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print("NVIDIA Container Runtime version 1.19.1", flush=True)
    if "create" in arguments:
        path = os.path.join(arguments[arguments.index("--bundle") + 1], "config.json")
        with open(path) as file:
            spec = json.load(file)
        (legacy if sys.argv[0].endswith(".legacy") else just_in_time)(spec)
        with open(path, "w") as file:
            json.dump(spec, file)
    os.execvp("runc", ["runc", *arguments])  # noqa: S606 - as the real one does


main()
