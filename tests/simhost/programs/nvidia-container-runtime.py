"""nvidia-container-runtime: runc with the hook added to a container that asks for GPUs.

gpusim.json beside this program is read by the hook; of it only `version` is used here.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
HOOK = os.path.join(HERE, "nvidia-container-runtime-hook")


def add_hook(bundle):
    path = os.path.join(bundle, "config.json")
    with open(path) as file:
        spec = json.load(file)
    asked = any(value.startswith("NVIDIA_VISIBLE_DEVICES=") for value in spec["process"].get("env", []))
    prestart = spec.setdefault("hooks", {}).setdefault("prestart", [])
    # dockerd has added the hook already where --gpus was given.
    if asked and all(os.path.basename(hook["path"]) != os.path.basename(HOOK) for hook in prestart):
        prestart.append({"path": HOOK, "args": [HOOK, "prestart"]})
        with open(path, "w") as file:
            json.dump(spec, file)


def bundle_of(arguments):
    # As containerd's shim writes it.
    return arguments[arguments.index("--bundle") + 1]


def main():
    arguments = sys.argv[1:]
    if "--version" in arguments:
        with open(os.path.join(HERE, "gpusim.json")) as file:
            print("NVIDIA Container Runtime version %s" % json.load(file)["version"])
        print("commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d\nspec: 1.2.1\n", flush=True)
    if "create" in arguments:
        add_hook(bundle_of(arguments))
    os.execvp("runc", ["runc", *arguments])  # noqa: S606 - as the real one does


main()
