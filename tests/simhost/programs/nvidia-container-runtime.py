"""nvidia-container-runtime: runc with what its mode adds to a container that asks for GPUs.

In legacy mode that is the hook. Just-in-time CDI takes a hook that dockerd has added away, and gives the GPUs itself,
for which the hook is called in another way here.
"""

import json
import os
import sys

HOOK = os.path.join(HERE, "nvidia-container-runtime-hook")  # noqa: F821 - config.py stands before this when installed


def refuse(text):
    """Says it where runc does, so that the shim finds it."""
    arguments = sys.argv[1:]
    if "--log" in arguments:
        with open(arguments[arguments.index("--log") + 1], "a") as file:
            file.write(json.dumps({"level": "error", "msg": text, "time": "2026-11-30T00:00:00Z"}) + "\n")
    sys.exit('time="2026-11-30T00:00:00Z" level=error msg=%s' % json.dumps(text))


def refuse_settings(error):
    """A config.toml that it cannot take ends it before it knows where to write; 1.20 says nothing at all then."""
    sys.exit(1 if is_since((1, 20)) else "error loading config: %s" % error)  # noqa: F821


def chosen(config):
    """The mode that counts: auto is just-in-time CDI from 1.18 on."""
    mode = config.mode
    if mode == "auto":
        mode = "jit-cdi" if is_since((1, 18)) else "legacy"  # noqa: F821
    known = ("legacy", "csv", "cdi", "jit-cdi") if is_since((1, 18)) else ("legacy", "csv", "cdi")  # noqa: F821
    if mode not in known:
        words = 'invalid mode "%s"' % mode if is_since((1, 20)) else "invalid runtime mode: " + mode  # noqa: F821
        refuse("failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: " + words)
    return mode


def modify(spec, config):
    variables = dict(value.partition("=")[::2] for value in spec["process"].get("env", []))
    asked = config.get(ACCEPT, True) and variables.get("NVIDIA_VISIBLE_DEVICES", "") not in ("", "void", "none")  # noqa: F821
    mode, prestart = chosen(config), spec.setdefault("hooks", {}).setdefault("prestart", [])
    others = [hook for hook in prestart if os.path.basename(hook["path"]) != os.path.basename(HOOK)]
    if mode == "legacy":
        path = config.get("nvidia-container-runtime-hook.path", HOOK)
        if others == prestart:  # dockerd has added the hook already where --gpus was given
            prestart.append({"path": path, "args": [HOOK, "prestart"]})
        return
    prestart[:] = others
    if mode == "cdi" and asked:
        words = "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=all"
        refuse("could not apply required modification to OCI specification: error modifying OCI spec: " + words)
    ctk = config.get("nvidia-ctk.path", "")
    if mode == "jit-cdi" and asked and ctk:
        spec["hooks"].setdefault("createContainer", []).append({"path": ctk, "args": [ctk, "hook", "update-ldcache"]})
    if mode == "jit-cdi" and asked:
        prestart.append({"path": HOOK, "args": [HOOK, "inject"]})


def create(bundle, config):
    path = os.path.join(bundle, "config.json")
    with open(path) as file:
        spec = json.load(file)
    modify(spec, config)
    with open(path, "w") as file:
        json.dump(spec, file)


def bundle_of(arguments):
    # As containerd's shim writes it.
    return arguments[arguments.index("--bundle") + 1]


def main():
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print("NVIDIA Container Runtime version %s" % WANTED["version"])  # noqa: F821
        print("commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d\nspec: 1.2.1\n", flush=True)
    try:
        config = Config()  # noqa: F821
    except ValueError as error:
        refuse_settings(error)
    names = config.get("nvidia-container-runtime.runtimes", ["runc", "crun"])
    runtime = program(names)  # noqa: F821
    if runtime is None:
        missing = "no runtime binary found from candidate list: [%s]" % " ".join(names)
        words = "error locating runtime: " + (missing if names else "at least one runtime candidate must be specified")
        refuse("failed to create NVIDIA Container Runtime: error constructing low-level runtime: " + words)
    if "create" in arguments:
        create(bundle_of(arguments), config)
    os.execvp(runtime, [runtime, *arguments])  # noqa: S606 - as the real one does


main()
