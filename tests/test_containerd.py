"""containerd for Kubernetes on real daemons, of Debian's release and of newer ones: found, planned, verified."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hosts import host
from installing import MIXTURE, check_ends
from simhost import Containerd, unpack
from test_containerd_config import MIXED, NEW, NEWEST, OLD

from gpuctl.documents import load_toml
from gpuctl.engines.containerd import CRI_PLUGINS, RUNTIME_PLUGIN
from gpuctl.facts.containerd.containerd import Containerd as Facts
from gpuctl.facts.containerd.containerd import Cri, Unit, globbed, probe_containerd
from gpuctl.facts.containerd.process import parse_flavour
from gpuctl.facts.containerd.unit import SHOW, parse_units
from gpuctl.facts.gather import Facts as Found
from gpuctl.facts.machine.system import System
from gpuctl.facts.machine.systemd import BOOTED as SYSTEMD
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.reading import Host
from gpuctl.model import Disturbs, Fact
from gpuctl.provision.change_set import ChangeSet, NotUp
from gpuctl.provision.engines.choose import restart
from gpuctl.provision.engines.containerd.containerd import plan, running
from gpuctl.provision.engines.daemons import Runtimes, not_taken_up
from gpuctl.provision.result import Refused, Wish

ROOT = Path(__file__).parents[1]
V2 = 'plugins."io.containerd.grpc.v1.cri"'
V3 = 'plugins."io.containerd.cri.v1.runtime"'
STOCK_DOCKER = '# comments\ndisabled_plugins = ["cri"]\n\n#root = "/var/lib/containerd"\n'


@pytest.fixture(scope="session")
def programs() -> Iterator[Callable[[str], Path]]:
    """`programs("sid")` is that Debian suite's containerd; the test is skipped where it is not in reach."""
    with ExitStack() as stack:
        known: dict[str, Path] = {}

        def find(suite: str) -> Path:
            if suite not in known:
                folder = Path(tempfile.mkdtemp(prefix=f"containerd-{suite}-"))
                stack.callback(shutil.rmtree, folder)
                known[suite] = unpack(suite, folder)
            return known[suite]

        yield find


@pytest.fixture
def new_containerd(
    programs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Containerd]]:
    """`new_containerd(config, suite="sid")` starts a containerd of the test's own."""
    with ExitStack() as stack:

        def make(config: str | None = "version = 2\n", suite: str = "", start: bool = True) -> Containerd:
            daemon = Containerd(config, programs(suite)) if suite else Containerd(config)
            stack.callback(daemon.close)
            monkeypatch.setenv("CONTAINERD_ADDRESS", str(daemon.socket))
            if start:
                daemon.start()
            return daemon

        yield make


@pytest.fixture
def runtime() -> Iterator[str]:
    """An executable nvidia-container-runtime."""
    folder = Path(tempfile.mkdtemp(prefix="toolkit-"))
    program = folder / "nvidia-container-runtime"
    program.write_text('#!/bin/sh\nexec runc "$@"\n')
    program.chmod(0o755)
    yield str(program)
    shutil.rmtree(folder)


def facts(machine: Host, **changes: Any) -> Found:
    absent: Fact[Any] = Fact(None, "test")
    system = System(**{**dict.fromkeys((one.name for one in fields(System)), absent), "euid": Fact(0, "test")})
    return Found({System: system, Facts: replace(probe_containerd(machine), **changes)})


def planned(daemon: Containerd, *, unit: Unit | None = None, **wish: Any) -> ChangeSet:
    """The plan for that daemon, and never for what else runs on this machine."""
    machine = LocalHost()
    found = facts(machine, **({"unit": Fact(unit, "test")} if unit else {}))
    assert found.known(Facts).config.value == str(daemon.config)
    return plan(machine, found, Wish(**wish))


def carried_out(setup: ChangeSet) -> Mapping[str, bytes | None]:
    """Writes what is planned, as the transaction does after all its care. Returns what the files hold then."""
    for edit in setup.edits:
        path = Path(edit.path)
        new = edit.change(path.read_bytes() if path.exists() else None)
        assert new is not None
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_bytes(new)
        edit.inspect(str(beside))
        beside.rename(path)
    return {edit.path: Path(edit.path).read_bytes() for edit in setup.edits}


def installed(daemon: Containerd, runtime: str, **wish: Any) -> ChangeSet:
    """Asserts too that a second run would change no byte."""
    setup = planned(daemon, runtime_path=runtime, **wish)
    carried_out(setup)
    again = planned(daemon, runtime_path=runtime, **wish)
    assert all(edit.change(Path(edit.path).read_bytes()) == Path(edit.path).read_bytes() for edit in again.edits)
    return setup


def has(daemon: Containerd, runtime: str, default: str) -> None:
    """Asserts what the daemon has, once it is started anew, by its own word."""
    daemon.stop()
    daemon.start()
    cri = probe_containerd(LocalHost()).cri.value
    assert cri and (cri.runtimes["nvidia"], cri.default) == (runtime, default), daemon.log.read_text()[-3000:]
    assert "runc" in cri.runtimes


VERSIONS = [
    pytest.param("", "", id="1.6, version 1"),
    pytest.param("", STOCK_DOCKER, id="1.6, CRI disabled"),
    pytest.param("", "version = 2\n", id="1.6, version 2"),
    pytest.param("", None, id="1.6, no file"),
    pytest.param("trixie", "version = 2\n", id="1.7, version 2"),
    pytest.param("trixie", STOCK_DOCKER, id="1.7, CRI disabled"),
    pytest.param("sid", STOCK_DOCKER, id="2.x, CRI disabled"),
    pytest.param("sid", "version = 2\n", id="2.x, version 2"),
    pytest.param("sid", "version = 3\n", id="2.x, version 3"),
    pytest.param("sid", None, id="2.x, no file"),
]


@pytest.mark.parametrize(("suite", "config"), VERSIONS)
def test_the_running_daemon_itself_has_the_runtime_after_its_restart(
    new_containerd: Callable[..., Containerd], runtime: str, suite: str, config: str | None
) -> None:
    # Without a file containerd reads the one in /etc: the command line names one that is not there yet.
    daemon = new_containerd(config or "", suite)
    if config is None:
        daemon.config.unlink()
    setup = installed(daemon, runtime, default=True)
    assert (setup.engine, setup.restart_needed, [edit.path for edit in setup.edits]) == (
        "containerd",
        True,
        [str(daemon.config)],
    )
    assert setup.daemon and setup.daemon.difference({}).startswith(
        ("containerd does not list", "containerd runs without")
    )
    has(daemon, runtime, "nvidia")
    now = planned(daemon, runtime_path=runtime, default=True)
    assert (now.restart_needed, now.daemon and now.daemon.difference({})) == (False, "")


@pytest.mark.parametrize("suite", ["", "trixie", "sid"])
@pytest.mark.parametrize("place", ["main", "drop-in"])
def test_imports_and_drop_ins_keep_all_that_they_say_and_the_runtime_counts(
    new_containerd: Callable[..., Containerd], runtime: str, suite: str, place: str
) -> None:
    cri = f"[{V2}]\n  max_container_log_line_size = 4242\n"
    cri += f'[{V2}.containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n'
    cri += f"[{V2}.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n"
    daemon = new_containerd("", suite, start=False)
    daemon.config.write_text(
        f'version = 2\nimports = ["{daemon.root}/conf.d/*.toml"]\n{cri if place == "main" else ""}'
    )
    (daemon.root / "conf.d/10-site.toml").write_text(f"version = 2\n{cri if place == 'drop-in' else ''}")
    daemon.start()
    setup = installed(daemon, runtime)
    file = {"main": daemon.config, "drop-in": daemon.root / "conf.d/10-site.toml"}[place]
    ours = daemon.root / "conf.d/99-gpuctl.toml"
    assert [edit.path for edit in setup.edits] == [str(ours if suite == "sid" else file)]
    if suite == "sid":
        assert "4242" not in ours.read_text() and "runc" not in ours.read_text().replace("runc.v2", "")
    has(daemon, runtime, "runc")
    dump = daemon.dump()
    assert "max_container_log_line_size = 4242" in dump
    assert dump.count("SystemdCgroup = true") == 2


@pytest.mark.parametrize("suite", ["", "sid"])
def test_files_of_several_versions_are_read_as_containerd_itself_reads_them(
    new_containerd: Callable[..., Containerd], suite: str
) -> None:
    daemon = new_containerd("", suite, start=False)
    shown = subprocess.run([daemon.program, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    version = tuple(map(int, shown.lstrip("v").split(".")[:2]))
    release = max(one for one in (OLD, NEW, NEWEST) if one <= version)
    for _, main, drop_in, expected in [case for case in MIXED if case[0] == release]:
        first, newline, tables = main.partition("\n")
        daemon.config.write_text(f'{first}{newline}imports = ["{daemon.root}/conf.d/*.toml"]\n{tables}')
        (daemon.root / "conf.d/site.toml").write_text(drop_in)
        plugins = load_toml(daemon.dump())["plugins"]
        has = next(plugins[name]["containerd"] for name in (RUNTIME_PLUGIN, CRI_PLUGINS[1]) if name in plugins)
        options = {name: table.get("options", {}) for name, table in has.get("runtimes", {}).items()}
        program = options.get("nvidia", {}).get("BinaryName")
        cgroup = options.get("runc", {}).get("SystemdCgroup") or None
        assert (program, cgroup, has["default_runtime_name"]) == expected, (main, drop_in)


def test_nvidia_ctks_drop_in_that_keeps_cri_from_loading_gets_the_runtime_that_it_lacks(
    new_containerd: Callable[..., Containerd], runtime: str
) -> None:
    daemon = new_containerd("", start=False)
    own = f"[{V2}]\n  stats_collect_period = 7\n"
    daemon.config.write_text(f'version = 2\nimports = ["{daemon.root}/conf.d/*.toml"]\n{own}')
    drop_in = daemon.root / "conf.d/99-nvidia.toml"
    table = f"{V2}.containerd.runtimes.nvidia"
    drop_in.write_text(
        f'version = 2\n[{table}]\nruntime_type = "io.containerd.runc.v2"\n[{table}.options]\nBinaryName = "{runtime}"\n'
    )
    daemon.start()
    assert probe_containerd(LocalHost()).cri.value is None
    setup = installed(daemon, runtime)
    assert [edit.path for edit in setup.edits] == [str(drop_in)]
    assert f"What {daemon.config} says of CRI does not count: {drop_in} takes its place." in setup.notes
    assert "stats_collect_period = 10" in daemon.dump()  # containerd's own
    has(daemon, runtime, "runc")


def test_a_default_runtime_that_no_file_has_is_named(new_containerd: Callable[..., Containerd], runtime: str) -> None:
    daemon = new_containerd(f'version = 2\n[{V2}.containerd]\n  default_runtime_name = "crun"\n')
    with pytest.raises(Refused, match="default_runtime_name is crun, of which no file has a table"):
        planned(daemon, runtime_path=runtime)


def test_cdi_is_switched_on_where_it_is_off_and_refused_where_there_is_none(
    new_containerd: Callable[..., Containerd], runtime: str
) -> None:
    with pytest.raises(Refused, match=r"containerd 1\.6\.\d+ has no CDI: it came with 1\.7\.0"):
        planned(new_containerd(), runtime_path=runtime, cdi=True)
    off = new_containerd(f"version = 2\n[{V2}]\n  cdi_spec_dirs = []\n", "trixie")
    installed(off, runtime, cdi=True)
    has(off, runtime, "runc")
    cri = probe_containerd(LocalHost()).cri.value
    assert cri and cri.cdi and "/var/run/cdi" in off.config.read_text()
    on = new_containerd("version = 3\n", "sid")
    assert "containerd has CDI on already." in installed(on, runtime, cdi=True).notes
    assert "enable_cdi" not in on.config.read_text()


def test_later_edits_of_the_main_file_still_count(new_containerd: Callable[..., Containerd], runtime: str) -> None:
    daemon = new_containerd()
    daemon.config.write_text(
        f'version = 2\nimports = ["{daemon.root}/conf.d/*.toml"]\n[{V2}]\n  stats_collect_period = 7\n'
    )
    installed(daemon, runtime)
    assert not list((daemon.root / "conf.d").iterdir())
    daemon.config.write_text(daemon.config.read_text().replace("= 7", "= 8"))
    assert "stats_collect_period = 8" in daemon.dump()


def test_a_file_that_has_the_last_word_is_named_before_anything_is_written(
    new_containerd: Callable[..., Containerd], runtime: str
) -> None:
    daemon = new_containerd("", "sid", start=False)
    daemon.config.write_text(f'version = 3\nimports = ["{daemon.root}/conf.d/*.toml"]\n')
    late = daemon.root / "conf.d/zz.toml"
    late.write_text(f'version = 3\n[{V3}.containerd]\n  default_runtime_name = "runc"\n')
    daemon.start()
    with pytest.raises(Refused, match=r"another file .* has the last word about default_runtime_name"):
        planned(daemon, runtime_path=runtime, default=True)


def test_a_folder_of_which_backups_would_be_imported_too_is_refused(
    new_containerd: Callable[..., Containerd], runtime: str
) -> None:
    daemon = new_containerd("", start=False)
    daemon.config.write_text(f'version = 2\nimports = ["{daemon.root}/conf.d/*"]\n')
    (daemon.root / "conf.d/cri.toml").write_text(f"[{V2}]\n")
    daemon.start()
    with pytest.raises(Refused, match="imports all that is beside it, backups too"):
        planned(daemon, runtime_path=runtime)


def test_a_file_that_containerd_refuses_does_not_count(new_containerd: Callable[..., Containerd], runtime: str) -> None:
    daemon = new_containerd()
    setup = planned(daemon, runtime_path=runtime)
    daemon.config.write_text('version = 2\noom_score = "none"\n')
    with pytest.raises(Refused, match=f"containerd refuses the new {daemon.config}: .*int"):
        carried_out(setup)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("version = 2\nversion = 2\n", ":2: not valid TOML"),
        (f'version = 2\n[{V2}.containerd.runtimes.nvidia]\nruntime_type = "x"\n', ":2: .* another way.* Use --force"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_file_and_line(
    new_containerd: Callable[..., Containerd], runtime: str, config: str, sentence: str
) -> None:
    daemon = new_containerd()
    daemon.config.write_text(config)
    with pytest.raises(Refused, match=f"{daemon.config}{sentence}"):
        planned(daemon, runtime_path=runtime)


def test_a_program_that_is_none_and_a_host_without_containerd_are_refused_with_a_remedy() -> None:
    machine = host(files=process("containerd"))
    with pytest.raises(Refused, match="/no/such is not an executable program"):
        plan(machine, facts(machine), Wish(runtime_path="/no/such"))
    nothing = facts(host())
    assert nothing.known(Facts).flavour.value is None and nothing.known(Facts).cri.value is None
    with pytest.raises(Refused, match="containerd is not installed here") as refused:
        plan(host(), nothing, Wish())
    assert refused.value.remedy


def test_a_restart_leaves_containers_running_and_the_step_counts_them(
    new_containerd: Callable[..., Containerd], runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = new_containerd()
    pid = daemon.run_container("beat", "/bin/sleep", "1000")
    daemon.systemctl(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    unit = Unit("containerd.service", True, (), spares=True)
    setup = planned(daemon, unit=unit, runtime_path=runtime, restart=True)
    assert setup.restart and setup.daemon and setup.daemon.reloading is None
    step = setup.daemon.restarting
    assert step and "1 running containers live on" in step.text and step.disturbs is Disturbs.NEW_CONTAINERS
    before = daemon.pid
    setup.daemon.restart(carried_out(setup), 20)
    assert daemon.pid != before and daemon.containers() == {"beat": pid}
    assert setup.daemon.difference({}) == ""


def test_a_daemon_that_does_not_come_up_is_told_of(
    new_containerd: Callable[..., Containerd], runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = new_containerd()
    daemon.systemctl(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    unit = Unit("containerd.service", True, (), spares=True)
    setup = planned(daemon, unit=unit, runtime_path=runtime, restart=True)
    wished = carried_out(setup)
    daemon.config.write_text("version = 2\nbroken")
    assert setup.daemon
    with pytest.raises(NotUp, match=r"containerd does not answer: .* 1 s after its restart"):
        setup.daemon.restart(wished, 1)


def test_a_unit_that_does_not_spare_containers_or_takes_docker_along_is_told_of() -> None:
    shown = "Id=containerd.service\nLoadState=loaded\nActiveState=active\nKillMode=mixed\nRequiredBy=docker.service\n"
    unit = parse_units(shown)[0]
    assert (unit.spares, unit.takes_along) == (False, ("docker.service",))
    machine = host(files=process("containerd"), commands={" ".join(SHOW): shown}, stats={SYSTEMD: {"type": "dir"}})
    found = facts(machine)
    assert found.known(Facts).unit.value == unit
    daemon = running(machine, found)
    assert daemon and daemon.restarting and daemon.restarting.disturbs is Disturbs.RUNNING_CONTAINERS
    assert "docker.service" in daemon.restarting.text and "which stops containers" in daemon.restarting.text
    remedy = restart(machine, daemon)
    assert remedy and remedy.text == f"Restart{daemon.restarting.text.removeprefix('restart')}."
    assert str(remedy.commands[0]).endswith("systemctl restart containerd.service")


def process(*argv: str, parent: str = "systemd", unit: str = "containerd.service") -> dict[str, Any]:
    folder = "/proc/812"
    return {
        "/proc/1/comm": f"{parent}\n",
        f"{folder}/comm": "containerd\n",
        f"{folder}/cmdline": "\0".join([*argv, ""]),
        f"{folder}/stat": "812 (containerd) S 1 812 812 0 -1",
        f"{folder}/cgroup": f"0::/system.slice/{unit}\n",
    }


K3S = "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml -a /run/k3s/containerd/containerd.sock"
MICROK8S = (
    "/snap/microk8s/7229/bin/containerd --config /var/snap/microk8s/7229/args/containerd.toml"
    " --address /var/snap/microk8s/common/run/containerd.sock"
)


@pytest.mark.parametrize(
    ("command_line", "parent", "flavour"),
    [
        ("/usr/bin/containerd", "systemd", "plain"),
        ("containerd --config /var/run/docker/containerd/containerd.toml", "dockerd", "docker"),
        ("containerd --config /tmp/x.toml", "dockerd", "docker"),
        (K3S, "k3s-server", "k3s"),
        (K3S.replace("k3s/agent", "rke2/agent"), "rke2", "rke2"),
        (MICROK8S, "systemd", "microk8s"),
    ],
)
def test_whose_a_containerd_is_shows_on_its_command_line(command_line: str, parent: str, flavour: str) -> None:
    assert parse_flavour(command_line.split(), "", parent) == flavour
    found = probe_containerd(host(files=process(*command_line.split(), parent=parent)))
    assert found.flavour.value == flavour


def test_one_that_has_ended_and_is_not_waited_for_is_none() -> None:
    assert probe_containerd(host(files={**process(), "/proc/812/cmdline": ""})).process.value is None


def test_where_nobody_listens_no_other_containerd_is_taken_for_it() -> None:
    machine = host(files=process("containerd"), env={"CONTAINERD_ADDRESS": "/run/mine.sock"})
    with pytest.raises(Refused, match=r"nobody who can be seen listens at /run/mine\.sock") as refused:
        plan(machine, facts(machine), Wish())
    assert refused.value.code == 3


def test_dockers_own_containerd_is_not_set_up() -> None:
    machine = host(files=process("containerd", parent="dockerd"))
    with pytest.raises(Refused, match="a part of Docker"):
        plan(machine, facts(machine), Wish())


def test_k3s_registers_the_runtime_itself_and_is_only_restarted() -> None:
    shown = "Id=k3s.service\nLoadState=loaded\nActiveState=active\nKillMode=process\n"
    machine = host(
        files=process(*K3S.split(), unit="k3s.service"),
        commands={" ".join(SHOW): shown},
        stats={SYSTEMD: {"type": "dir"}},
        which={"nvidia-container-runtime": "/usr/bin/nvidia-container-runtime"},
    )
    found = facts(machine, cri=Fact(Cri({"runc": ""}, "runc"), "test"))
    setup = plan(machine, found, Wish())
    assert (setup.edits, setup.title, setup.restart_needed) == ((), "K3s", True)
    assert setup.remedy and list(map(str, setup.remedy.commands)) == ["systemctl restart k3s.service"]
    assert setup.daemon and setup.daemon.restarting and "control plane" in setup.daemon.restarting.text
    with pytest.raises(Refused, match="default runtime is a setting of K3s") as refused:
        plan(machine, found, Wish(default=True))
    assert refused.value.remedy and "/etc/rancher/k3s/config.yaml" in refused.value.remedy.text


def test_a_template_that_takes_the_place_of_k3ss_own_is_named() -> None:
    template = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl"
    which = {"nvidia-container-runtime": "/usr/bin/nvidia-container-runtime"}
    for text, refused in (("[plugins.opt]\n", True), ('{{ template "base" . }}\n[plugins.opt]\n', False)):
        machine = host(files={**process(*K3S.split()), template: text}, which=which)
        if refused:
            with pytest.raises(Refused, match=f"{template} takes the place"):
                plan(machine, facts(machine), Wish())
        else:
            assert plan(machine, facts(machine), Wish()).edits == ()


def test_microk8s_is_set_up_by_its_template(tmp_path: Path, runtime: str) -> None:
    args = tmp_path / "microk8s/args"
    args.mkdir(parents=True)
    text = (
        f'version = 2\n[{V2}.containerd]\n  snapshotter = "${{SNAPSHOTTER}}"\n  default_runtime_name = "${{RUNTIME}}"\n'
    )
    text += f'[{V2}.containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n'
    (args / "containerd-template.toml").write_text(text)
    command_line = ("containerd", "--config", str(args / "containerd.toml"))
    machine = host(files=process(*command_line), which={runtime: runtime})
    assert facts(machine).known(Facts).flavour.value == "microk8s"
    setup = plan(machine, facts(machine), Wish(runtime_path=runtime))
    assert [edit.path for edit in setup.edits] == [str(args / "containerd-template.toml")]
    new = setup.edits[0].change(text.encode())
    assert new and new.decode().startswith(text) and b"runtimes.nvidia" in new


def test_imports_are_found_as_containerd_finds_them() -> None:
    machine = host(files={"/etc/c/a.toml": "", "/etc/c/.h.toml": "", "/etc/c/b.txt": "", "/etc/d/a.toml": ""})
    assert list(globbed(machine, "/etc/c/*.toml")) == ["/etc/c/.h.toml", "/etc/c/a.toml"]
    assert list(globbed(machine, "/etc/*/a.toml")) == ["/etc/c/a.toml", "/etc/d/a.toml"]
    files = {
        "/etc/containerd/config.toml": 'imports = ["more.toml"]',
        "/etc/containerd/more.toml": "imports = ['x.toml']",
    }
    assert probe_containerd(host(files=files)).files.unknown == "it is imported and not there"
    whole = probe_containerd(host(files={**files, "/etc/containerd/x.toml": 'imports = ["config.toml"]'}))
    assert whole.files.value == tuple(f"/etc/containerd/{name}.toml" for name in ("config", "more", "x"))


def with_journal_in(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Runs Python on this machine, where /var/lib, and so root's journal, is a folder of the test."""
    script = 'mount --bind "$1" /var/lib; shift; exec "$@"'
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(folder), sys.executable, *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)


def gpuctl(folder: Path, *argv: str) -> dict[str, Any]:
    """What a command says there."""
    done = with_journal_in(folder, "-m", "gpuctl", *argv, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_the_command_registers_and_takes_out_again_what_it_put_there(
    new_containerd: Callable[..., Containerd], runtime: str, tmp_path: Path
) -> None:
    daemon = new_containerd(f"# mine\nversion = 2\n\n[{V2}]\n  stats_collect_period = 7 # kept\n")
    install = ["install-runtime", "--engine=containerd", "--set-default", f"--runtime-path={runtime}"]
    done, again = gpuctl(tmp_path, *install), gpuctl(tmp_path, *install)
    assert (done["changed"], done["verified"], done["restart_needed"]) == (True, False, True)
    assert (done["config"], again["changed"], again["steps"]) == (str(daemon.config), False, [])
    assert (again["verified"], again["restart_needed"], again["notes"]) == (False, True, done["notes"])
    assert gpuctl(tmp_path, "history")["runs"][0]["files"] == done["files"]
    has(daemon, runtime, "nvidia")
    assert gpuctl(tmp_path, *install)["verified"]
    daemon.config.write_text(daemon.config.read_text().replace("= 7", "= 8"))
    kept = ["containerd keeps the runtime nvidia and the default runtime nvidia until it is restarted."]
    assert gpuctl(tmp_path, "uninstall-runtime", "--dry-run")["notes"] == kept
    out = gpuctl(tmp_path, "uninstall-runtime")
    assert (out["changed"], out["restart_needed"], out["notes"]) == (True, True, kept)
    assert daemon.config.read_text() == f"# mine\nversion = 2\n\n[{V2}]\n  stats_collect_period = 8 # kept\n"
    again = gpuctl(tmp_path, "uninstall-runtime")
    assert (again["changed"], again["verified"], again["restart_needed"]) == (False, False, True)
    assert (again["notes"], again["remedy"]) == (kept, out["remedy"])
    daemon.stop()
    daemon.start()
    last = gpuctl(tmp_path, "uninstall-runtime")
    assert (last["changed"], last["verified"], last["restart_needed"], last["notes"]) == (False, True, False, [])
    back = gpuctl(tmp_path, "rollback")
    takes_up = "containerd takes up the runtime nvidia and the default runtime nvidia when it is restarted."
    assert (back["changed"], back["restart_needed"], back["notes"]) == (True, True, [takes_up])


def test_what_files_say_again_and_a_daemon_has_not_is_named_by_value_and_nothing_else_is() -> None:
    old, new = Runtimes({"nvidia": "/ours", "site": "/s"}, ""), Runtimes({"nvidia": "/theirs", "site": "/s"}, "site")
    assert not_taken_up(old, new, Runtimes({"nvidia": "/ours"}, "runc")) == [
        "the runtime nvidia",
        "the default runtime site",
    ]
    assert not_taken_up(old, new, Runtimes({"nvidia": None}, "site")) == []  # a program that it does not tell


@pytest.mark.slow
def test_two_hundred_runs_side_by_side_leave_one_of_their_states_that_containerd_starts_with(
    new_containerd: Callable[..., Containerd], runtime: str, tmp_path: Path
) -> None:
    before = f"# mine\nversion = 2\n\n[{V2}]\n  stats_collect_period = 7 # kept\n"
    daemon = new_containerd(before)
    install = ["install-runtime", "--engine=containerd", f"--runtime-path={runtime}"]
    uninstall, rollback = ["uninstall-runtime"], ["rollback"]
    commands = [install, [*install, "--set-default"], uninstall, [*install, "--name=other"], rollback]
    done = with_journal_in(tmp_path, "-c", MIXTURE, json.dumps(commands), "200", "200")
    assert done.returncode == 0, done.stderr
    check_ends(json.loads(done.stdout), done.stderr)
    assert {run["state"] for run in gpuctl(tmp_path, "history")["runs"]} <= {"done", "undone"}
    gpuctl(tmp_path, *install, "--set-default")
    has(daemon, runtime, "nvidia")
    gpuctl(tmp_path, "uninstall-runtime")
    assert daemon.config.read_text() == before


@pytest.mark.parametrize(("config", "plugin"), [(None, V2), (STOCK_DOCKER, "plugins.cri")])
def test_what_others_have_built_on_the_file_since_keeps_what_it_needs(
    new_containerd: Callable[..., Containerd], runtime: str, tmp_path: Path, config: str | None, plugin: str
) -> None:
    daemon = new_containerd(config or "")
    if config is None:
        daemon.config.unlink()
    gpuctl(tmp_path, "install-runtime", "--engine=containerd", f"--runtime-path={runtime}")
    site = f'\n[{plugin}.containerd.runtimes.site]\n  runtime_type = "io.containerd.runc.v2"\n'
    daemon.config.write_text(daemon.config.read_text() + site)
    has(daemon, runtime, "runc")
    assert gpuctl(tmp_path, "uninstall-runtime")["changed"]
    daemon.stop()
    daemon.start()
    cri = probe_containerd(LocalHost()).cri.value
    assert cri and (sorted(cri.runtimes), cri.default) == (["runc", "site"], "runc")
