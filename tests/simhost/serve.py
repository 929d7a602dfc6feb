"""gpuctl once loaded, which forks for each run that is asked of it. Its argument is its end of warm.py's socket.

A run finds arguments, environment, folder, streams and signals as `python -m gpuctl` does.
"""

import atexit
import gc
import marshal
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages

import enter

import gpuctl

STATUS = struct.Struct("i")
LATER = (
    *("ansible_runner", "docker", "kubernetes.client", "kubernetes.config", "msgspec.json", "rich.console"),
    *("rich.live", "rich.progress", "ruamel.yaml", "urllib3.exceptions"),
)
"""What a run loads when it comes to need it: it takes longer than most runs do."""
MOST = 1 << 20
"""Bytes that a request has at most."""


def serve(channel):
    """Begins each run that is asked for, says its process id and, when it has ended, how."""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data:
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
                    end(*key.data)
                else:
                    request, handed, _, _ = socket.recv_fds(channel, MOST, 4)
                    if not request:
                        return
                    pid, said = begin(marshal.loads(request), handed)  # noqa: S302 - from warm.py
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, said))


def begin(request, handed):
    *streams, said = handed
    pid = os.fork()
    if not pid:
        run(streams, *request)
    for stream in streams:
        os.close(stream)
    os.write(said, STATUS.pack(pid))
    return pid, said


def end(pid, said):
    with suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(said, STATUS.pack(os.waitpid(pid, 0)[1]))
    os.close(said)


def run(streams, argv, env, cwd, plan, waits):
    code = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 1 << 10)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        if plan:
            enter.into(plan)
        else:
            os.chdir(cwd)
        open_streams()
        sys.argv = [sys.modules["__main__"].__file__, *argv]
        if waits:
            os.kill(os.getpid(), signal.SIGSTOP)  # until it is traced
        code = ended(sys.modules["__main__"].main)
    finally:
        os._exit(code)


def open_streams():
    sys.stdin = stream(0, "<stdin>", "r", "strict") if is_open(0) else None
    sys.stdout = stream(1, "<stdout>", "w", "strict")
    sys.stderr = stream(2, "<stderr>", "w", "backslashreplace")


def stream(number, name, mode, errors):
    opened = open(number, mode, errors=errors, closefd=False)  # noqa: SIM115
    opened.buffer.raw.name = name
    return opened


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def ended(main):
    """What Python does with how it ends."""
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return code


def main():
    del sys.path[0]
    for room in walk_packages(gpuctl.__path__, "gpuctl."):
        import_module(room.name)
    for name in LATER:
        import_module(name)
    sys.modules["__main__"] = sys.modules["gpuctl.__main__"]
    gc.collect()
    gc.freeze()  # what no run touches, all share
    serve(socket.socket(fileno=int(sys.argv[1])))


main()
