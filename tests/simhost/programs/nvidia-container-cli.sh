#!/bin/sh
# nvidia-container-cli: says its version.
read -r settings < "${0%/*}/gpusim.json"
version=${settings#*'"version": "'}
version=${version%%'"'*}
cat <<END
cli-version: $version
lib-version: $version
build date: 2025-05-30T13:47+00:00
build revision: 6eda4d76c8c5f8fc174e4abca83e513fb4dd63b0
build compiler: x86_64-linux-gnu-gcc-7 7.5.0
build platform: x86_64
END
