"""nvidia-container-runtime-hook: puts the simulated driver's files into a container that asks for GPUs.

Called as `prestart` with the OCI state on stdin. runc runs it outside the container and before the root is made
read-only, so that the files can be written through the root's path on the host. As `inject` it is the stand-in for the
device nodes, mounts and hooks that nvidia-container-runtime adds in just-in-time CDI: no setting of the hook's counts.
gpusim.json beside this program says: profile, smi, libraries, version, and optionally devices, driver, cuda, error.
"""

import json
import os
import shutil
import subprocess
import sys


def fail(text):
    sys.exit("Auto-detected mode as 'legacy'\nnvidia-container-cli: " + text)


def refuse_by_mode(config):
    mode, skips = config.mode, config.get("nvidia-container-runtime-hook.skip-mode-detection", False)
    if mode not in ("auto", "legacy") and not skips:
        sys.exit(
            "Using requested mode '%s'\ninvoking the NVIDIA Container Runtime Hook directly (e.g. specifying the "
            "docker --gpus flag) is not supported. Please use the NVIDIA Container Runtime (e.g. specify the "
            "--runtime=nvidia flag) instead" % mode
        )


def refuse_capabilities(config):
    """The real one has a sentence for it, and loses that on its way out (seen with 1.20.0)."""
    named = config.get("supported-driver-capabilities", "all").split(",")
    if not {*named} <= {"all", "compat32", "compute", "display", "graphics", "ngx", "utility", "video"}:
        sys.exit(1)


def refuse_by_cli(config):
    path = config.get("nvidia-container-cli.path", "")
    if path and not os.path.exists(path):
        sys.exit("Auto-detected mode as 'legacy'\nexec failed: no such file or directory")
    plain = config.get("nvidia-container-cli.ldconfig", "@/sbin/ldconfig")[1:].removesuffix(".real")
    if not os.path.exists(plain) and not os.path.exists(plain + ".real"):
        fail("ldcache error: open failed: %s: no such file or directory" % plain)


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


def bundle_and_spec():
    bundle = json.load(sys.stdin)["bundle"]
    with open(os.path.join(bundle, "config.json")) as file:
        return bundle, json.load(file)


def prestart(wanted):
    try:
        config = Config()  # noqa: F821 - of config.py, which stands before this when it is installed
    except ValueError as error:
        required = "couldn't open required configuration file: " if "load" in str(error) else ""
        sys.exit("error getting hook config: failed to load config: %s%s" % (required, error))
    bundle, spec = bundle_and_spec()
    devices = asked_devices(spec)
    if devices in ("", "void", "none"):
        return
    if not config.get(ACCEPT, True):  # noqa: F821
        print("Ignoring devices specified in NVIDIA_VISIBLE_DEVICES", file=sys.stderr)
        return
    refuse_by_mode(config)
    refuse_capabilities(config)
    refuse_by_cli(config)
    closed = config.get("nvidia-container-cli.no-cgroups", False)
    give(bundle, spec, devices, wanted, "closed" if closed else wanted["profile"])


def give(bundle, spec, devices, wanted, profile):
    if "error" in wanted:
        fail(wanted["error"])
    refuse_unknown(devices, wanted)
    wanted = {**wanted, "profile": profile}
    inject(os.path.join(bundle, spec["root"]["path"]), devices, wanted)


def main():
    wanted = WANTED  # noqa: F821
    if "--version" in sys.argv[1:]:
        print("NVIDIA Container Runtime Hook version %s" % wanted["version"])
        print("commit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d")
    elif "prestart" in sys.argv[1:]:
        prestart(wanted)
    elif "inject" in sys.argv[1:]:
        bundle, spec = bundle_and_spec()
        give(bundle, spec, asked_devices(spec), wanted, wanted["profile"])


main()
