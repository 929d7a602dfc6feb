"""nvidia-container-runtime-hook: puts the simulated driver's files into a container that asks for GPUs.

Called as `prestart` with the OCI state on stdin. runc runs it outside the container and before the root is made
read-only, so that the files can be written through the root's path on the host.
gpusim.json beside this program says: profile, smi, libraries, version, and optionally devices, driver, cuda, error.
"""

import json
import os
import shutil
import subprocess
import sys


def settings():
    with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "gpusim.json")) as file:
        return json.load(file)


def fail(text):
    sys.exit("Auto-detected mode as 'legacy'\nnvidia-container-cli: " + text)


def asked_devices(spec):
    # dockerd appends what --gpus says to what the image says: the last one counts.
    variables = dict(variable.partition("=")[::2] for variable in spec["process"].get("env", []))
    return variables.get("NVIDIA_VISIBLE_DEVICES", "")


def refuse_unknown(devices, wanted):
    """nvidia-container-cli fails when a device that was asked for is not there."""
    fields = ["--query-gpu=index,uuid", "--format=csv,noheader"]
    env = {"GPUSIM_PROFILE": wanted["profile"]}
    answer = subprocess.run([wanted["smi"], *fields], env=env, stdout=subprocess.PIPE, timeout=10)
    known = answer.stdout.decode().replace(",", " ").split()
    for device in devices.split(","):
        if device != "all" and device not in known:
            fail("device error: %s: unknown device" % device)


def inject(root, devices, wanted):
    for folder in ("usr/bin", "usr/lib", "etc"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    shutil.copy(wanted["smi"], os.path.join(root, "usr/bin/nvidia-smi"))
    for library in wanted["libraries"]:
        shutil.copy(library, os.path.join(root, "usr/lib", os.path.basename(library)))
    with open(os.path.join(root, "etc/gpusim-profile"), "w") as file:
        file.write("GPUSIM_PROFILE=%s\nGPUSIM_DEVICES=%s\n" % (wanted["profile"], wanted.get("devices", devices)))
        for name in ("driver", "cuda"):
            if name in wanted:
                file.write("GPUSIM_%s=%s\n" % (name.upper(), wanted[name]))


def prestart(wanted):
    bundle = json.load(sys.stdin)["bundle"]
    with open(os.path.join(bundle, "config.json")) as file:
        spec = json.load(file)
    devices = asked_devices(spec)
    if devices in ("", "void", "none"):
        return
    if "error" in wanted:
        fail(wanted["error"])
    refuse_unknown(devices, wanted)
    inject(os.path.join(bundle, spec["root"]["path"]), devices, wanted)


def main():
    wanted = settings()
    if "--version" in sys.argv[1:]:
        print("NVIDIA Container Runtime Hook version %s" % wanted["version"])
        print("commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d")
    elif "prestart" in sys.argv[1:]:
        prestart(wanted)


main()
