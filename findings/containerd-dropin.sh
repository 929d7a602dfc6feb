#!/bin/bash
# containerd 1.6.20 (Debian bookworm, 1.6.20~ds1-1+deb12u3), as root: a drop-in that adds a runtime takes runc away.
#
# A file in `imports` that has any of CRI's table stands in the place of the main file's whole table, and what it says of
# runtimes in the place of the built-in ones. So the drop-in that adds the runtime nvidia, and nothing else, loses the
# main file's CRI settings and runc. `containerd config dump` prints that and exits 0, the daemon starts and answers,
# and CRI alone is not there: the kubelet finds no runtime. One would expect a drop-in to add to what the main file says.
#
# Seen:
#   dump: exit 0, runtimes: nvidia; stats_collect_period = 10 (the main file says 7)
#   daemon: answers; io.containerd.grpc.v1 cri: error
#   log: no corresponding runtime configured in `containerd.runtimes` for `containerd` `default_runtime_name = "runc"`
#   with runc's table in the drop-in: cri: ok
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid"; wait "$pid" || true; }; rm -rf "$work"' EXIT
cd "$work"
apt-get -q -o APT::Sandbox::User=root download containerd=1.6.20~ds1-1+deb12u3 >/dev/null
dpkg-deb --extract containerd_*.deb .
mkdir conf.d
cri='plugins."io.containerd.grpc.v1.cri"'
type='runtime_type = "io.containerd.runc.v2"'
printf 'version = 2\nimports = ["%s/conf.d/*.toml"]\n[%s]\nstats_collect_period = 7\n' "$work" "$cri" >config.toml
printf 'version = 2\n[%s.containerd.runtimes.nvidia]\n%s\n' "$cri" "$type" >conf.d/99-nvidia.toml

loaded() {
    usr/bin/containerd --config config.toml --root root --state state --address "$work/sock" >log 2>&1 &
    pid=$!
    for _ in $(seq 100); do usr/bin/ctr --address "$work/sock" version >/dev/null 2>&1 && break; sleep 0.1; done
    usr/bin/ctr --address "$work/sock" plugins list | awk '$1 == "io.containerd.grpc.v1" && $2 == "cri" { print $NF }'
    kill "$pid"
    wait "$pid" || true
    pid=
}

usr/bin/containerd --config config.toml config dump >dump
! grep -q 'runtimes.runc\]' dump
grep -q 'runtimes.nvidia\]' dump
grep -q 'stats_collect_period = 10' dump
[ "$(loaded)" = error ]
grep -q 'no corresponding runtime configured in `containerd.runtimes`' log
printf '[%s.containerd.runtimes.runc]\n%s\n' "$cri" "$type" >>conf.d/99-nvidia.toml
[ "$(loaded)" = ok ]
echo "as described"
