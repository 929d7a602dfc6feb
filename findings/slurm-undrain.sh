#!/bin/sh
# slurm-wlm 22.05.8 (Debian 12: apt-get install slurm-wlm munge; run as root). `scontrol update NodeName=… State=UNDRAIN` of a node whose slurmd has
# never answered says "slurm_update error: Invalid node state specified" and exits 1, and has undrained it all the same:
# the flag and the reason are gone. A script that goes by the exit code takes a node in service for a drained one. Output seen:
#   before: UNKNOWN+DRAIN new fan
#   undrain: exit 1, slurm_update error: Invalid node state specified
#   after: UNKNOWN
set -eu
work=$(mktemp -d)
daemons=
trap 'kill $daemons 2>/dev/null || true; wait; rm -rf "$work"' EXIT
host=$(hostname -s)
chmod 755 "$work"
mkdir "$work/state"
head -c 1024 /dev/urandom > "$work/key"
chmod 400 "$work/key"
cat > "$work/slurm.conf" <<CONF
ClusterName=c
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26917
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/socket
StateSaveLocation=$work/state
SlurmctldPidFile=$work/slurmctld.pid
ProctrackType=proctrack/pgid
NodeName=gpu1 NodeAddr=127.0.0.1 Port=26918 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
export SLURM_CONF="$work/slurm.conf"
munged -F --force --key-file="$work/key" --socket="$work/socket" --pid-file="$work/munged.pid" --log-file="$work/munged.log" \
    --seed-file="$work/seed" > "$work/out" 2>&1 &
daemons=$!
slurmctld -D -c -f "$SLURM_CONF" > "$work/out" 2>&1 &
daemons="$daemons $!"
for _ in $(seq 100); do
    scontrol ping > "$work/out" 2>&1 && break
    sleep 0.1
done
seen() {
    scontrol -o show node gpu1 | sed -n 's/.* State=\([^ ]*\).*/\1/p' | sed 's/+NOT_RESPONDING//'
}
{
    scontrol update NodeName=gpu1 State=DRAIN Reason="new fan"
    echo "before: $(seen) $(scontrol -o show node gpu1 | sed -n 's/.*Reason=\(.*\) \[.*/\1/p')"
    code=0
    said=$(scontrol update NodeName=gpu1 State=UNDRAIN 2>&1) || code=$?
    echo "undrain: exit $code, $said"
    echo "after: $(seen)"
} > "$work/said"
cat "$work/said"
cat > "$work/wanted" <<WANTED
before: UNKNOWN+DRAIN new fan
undrain: exit 1, slurm_update error: Invalid node state specified
after: UNKNOWN
WANTED
diff "$work/wanted" "$work/said"
