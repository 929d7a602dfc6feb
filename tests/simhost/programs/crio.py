"""crio: as much of CRI-O's daemon as is asked when a runtime is registered. Debian has no package of the real one.

It does as 1.36 was seen to do, and as crio.conf(5) and pkg/config/{config,reload}.go of https://github.com/cri-o/cri-o
say: crio.conf and then every file below the drop-in directory is read, whatever its name; of a runtime that two files
have the later one counts as a whole. A link to a directory is a file that cannot be read: then CRI-O does not start. A
runtime whose program is not there, of an unknown type, or with an annotation that CRI-O does not know, is passed over,
and so is one of type vm whose program has another name than such a shim's. If it is the default, CRI-O does not start.
Nor does it with a runtime whose monitor cannot be run. On SIGHUP it reads again: what does not parse leaves all as it
was, and a default that cannot be is shown as if it counted. GET /config on its socket tells what it has read, and so
does `crio status config`: by what pods are run, it does not tell, which is what it read when it started.

CRIO_SIM, JSON: version, and ignores_sighup or dies_on_sighup. Before 1.26 a reload leaves runtimes alone.
"""

import http.server
import json
import os
import shutil
import signal
import socket
import socketserver
import sys

try:
    import tomllib
except ImportError:
    import tomli as tomllib

SIM = {"version": "1.28.1", **json.loads(os.environ.get("CRIO_SIM", "{}"))}
LEVELS = ("fatal", "panic", "error", "warn", "info", "debug", "trace")
OPTIONS = {
    "--config": "/etc/crio/crio.conf",
    "--config-dir": "/etc/crio/crio.conf.d",
    "--listen": "/var/run/crio/crio.sock",
}


class Refused(Exception):
    pass


def options():
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    return {**OPTIONS, **given}


def files(config, folder):
    yield config
    yield from below(folder)


def below(folder):
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        yield from below(path) if os.path.isdir(path) and not os.path.islink(path) else (path,)


def read(config, folder):
    crun = {"runtime_path": "", "runtime_type": "oci", "runtime_root": "/run/crun"}
    runtime = {"default_runtime": "crun", "log_level": "info", "runtimes": {"crun": crun}}
    for path in files(config, folder):
        if path == config and not os.path.exists(path):
            continue
        try:
            with open(path, "rb") as file:
                said = tomllib.load(file).get("crio", {}).get("runtime", {})
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise Refused("update config from path: %s: %s" % (path, error)) from None
        runtimes = {**runtime["runtimes"], **said.get("runtimes", {})}
        runtime = {**runtime, **said, "runtimes": runtimes}
    return runtime


def validated(runtime):
    """The runtimes that can be; the default one must be among them."""
    default, runtimes = runtime["default_runtime"], runtime["runtimes"]
    if default not in runtimes:
        raise Refused("default_runtime set to %r, but no runtime entry table was found" % default)
    inherited = {key: runtimes[default].get(key, "") for key in ("runtime_path", "runtime_type", "runtime_root")}
    runtimes = {
        name: {**entry, **inherited} if entry.get("inherit_default_runtime") else entry
        for name, entry in runtimes.items()
    }
    found = {name: {**entry, "runtime_path": program(name, entry)} for name, entry in runtimes.items()}
    good = {name: entry for name, entry in found.items() if entry["runtime_path"] and is_taken(entry)}
    if default not in good:
        raise Refused("invalid runtime_path for runtime %r" % default)
    return {**runtime, "runtimes": good}


def program(name, entry):
    path = entry.get("runtime_path") or shutil.which(name) or ""
    return path if os.path.exists(path) else ""


def is_taken(entry):
    """RuntimeHandler.Validate. CRI-O has a list of annotations: here one without a dot is none of them."""
    kind, name = entry.get("runtime_type", ""), os.path.basename(entry["runtime_path"])
    is_shim = name.startswith("containerd-shim-") and name.endswith("-v2")
    known = all("." in annotation for annotation in entry.get("allowed_annotations", ()))
    return known and (kind in ("", "oci", "pod") or (kind == "vm" and is_shim))


def with_monitors(runtime):
    for entry in runtime["runtimes"].values():
        if entry.get("runtime_type", "") in ("", "oci"):
            entry["monitor_path"] = entry.get("monitor_path") or shutil.which("conmon")
            if not entry["monitor_path"] or not os.access(entry["monitor_path"], os.X_OK):
                raise Refused("monitor fields translation: get conmon version: %s" % entry["monitor_path"])
    return runtime


def dumped(runtime):
    lines = ["[crio.runtime]", "default_runtime = " + json.dumps(runtime["default_runtime"])]
    for name, entry in runtime["runtimes"].items():
        lines += ["[crio.runtime.runtimes.%s]" % json.dumps(name)]
        lines += ["%s = %s" % (key, json.dumps(value)) for key, value in entry.items()]
    return "\n".join(lines) + "\n"


class State:
    """What the daemon goes by."""

    def __init__(self, given):
        self.given = given
        self.runtime = with_monitors(validated(read(given["--config"], given["--config-dir"])))

    def reload(self, number, frame):
        if SIM.get("dies_on_sighup"):
            os._exit(1)
        try:
            new = read(self.given["--config"], self.given["--config-dir"])
            if new["log_level"] not in LEVELS:
                raise Refused("not a valid logrus Level: %r" % new["log_level"])
            if tuple(map(int, SIM["version"].split(".")[:2])) >= (1, 26):
                self.runtime = new  # which stays where it cannot be
                self.runtime = validated(new)
        except Refused as error:
            print("unable to reload configuration: %s" % error, file=sys.stderr, flush=True)


def serve(listen, state):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = {"/config": dumped(state.runtime), "/info": '{"storage_driver": "overlay"}'}
            body = known.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

        def get_request(self):
            return self.socket.accept()[0], ("crio", 0)

    server = Server(listen, Handler)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if SIM.get("ignores_sighup") else state.reload)
    server.serve_forever()


def asked(listen):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(listen)
        connection.sendall(b"GET /config HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()
    return answer.partition(b"\r\n\r\n")[2].decode()


def main():
    given = options()
    if sys.argv[-2:] == ["status", "config"]:
        print(asked(given["--listen"]), end="")
        return
    try:
        state = State(given)
    except Refused as error:
        sys.exit('level=fatal msg="validating runtime config: %s"' % error)
    os.makedirs(os.path.dirname(given["--listen"]), exist_ok=True)
    serve(given["--listen"], state)


main()
