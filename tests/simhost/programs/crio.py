"""crio: as much of CRI-O's daemon as is asked when a runtime is registered. Debian has no package of the real one.

It reads crio.conf and then every file below the drop-in directory, in lexical order; answers GET /config and /info on
its socket; and on SIGHUP reads again, as crio.conf(5), crio.conf.d(5), pkg/config/reload.go and pkg/config/config.go of
https://github.com/cri-o/cri-o say: a reload that fails keeps what was, a runtime whose program is not there is passed
over, and one without a monitor keeps the daemon from starting.

CRIO_SIM, JSON: version, and ignores_sighup or dies_on_sighup. Before 1.26 a reload leaves runtimes alone.
"""

import http.server
import json
import os
import shutil
import signal
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
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    return {**OPTIONS, **given}


def files(config, folder):
    yield config
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names))


def read(config, folder):
    runtime = {"default_runtime": "crun", "log_level": "info", "runtimes": {"crun": {"runtime_type": "oci"}}}
    for path in filter(os.path.exists, files(config, folder)):
        with open(path, "rb") as file:
            try:
                said = tomllib.load(file).get("crio", {}).get("runtime", {})
            except tomllib.TOMLDecodeError as error:
                raise Refused("unable to decode configuration %s: %s" % (path, error)) from None
        runtimes = {**runtime["runtimes"], **said.get("runtimes", {})}
        runtime = {**runtime, **said, "runtimes": runtimes}
    return runtime


def validated(runtime):
    """The runtimes whose programs are there; the default one must be."""
    default = runtime["default_runtime"]
    if default not in runtime["runtimes"]:
        raise Refused("default_runtime set to %r, but no runtime entry table was found" % default)
    good = {name: entry for name, entry in runtime["runtimes"].items() if is_there(name, entry)}
    if default not in good:
        raise Refused("invalid runtime_path for runtime %r" % default)
    return {**runtime, "runtimes": good}


def is_there(name, entry):
    path = entry.get("runtime_path")
    return os.path.exists(path) if path else shutil.which(name) is not None


def with_monitors(runtime):
    for entry in runtime["runtimes"].values():
        if entry.get("runtime_type", "oci") == "oci":
            entry["monitor_path"] = entry.get("monitor_path") or shutil.which("conmon")
            if not entry["monitor_path"] or not os.path.exists(entry["monitor_path"]):
                raise Refused('monitor fields translation: exec: "conmon": executable file not found in $PATH')
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
                self.runtime = validated(new)
        except Refused as error:
            print("unable to reload configuration: %s" % error, file=sys.stderr, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = {"/config": dumped(self.server.state.runtime), "/info": '{"storage_driver": "overlay"}'}
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


def main():
    if sys.argv[1:] == ["--version"]:
        print("crio version %s\nGitCommit:      eda470f4c2a7bc8c8d9a6d5b9d3b2f5a9cf53fa8" % SIM["version"])
        return
    given = options()
    try:
        state = State(given)
    except Refused as error:
        sys.exit('level=fatal msg="validating runtime config: %s"' % error)
    os.makedirs(os.path.dirname(given["--listen"]), exist_ok=True)
    server = Server(given["--listen"], Handler)
    server.state = state
    signal.signal(signal.SIGHUP, signal.SIG_IGN if SIM.get("ignores_sighup") else state.reload)
    server.serve_forever()


main()
