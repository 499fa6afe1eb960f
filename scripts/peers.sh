#!/bin/sh
# Other people's Go programs that tests run against, built from their modules into .peers/ where Go is installed.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

build() { # name, package, version, its build tags; or a folder with a module, and the version of what is in it
    [ -x ".peers/$1-$3" ] && return 0
    if ! command -v go >/dev/null 2>&1; then
        say "Missing for the tests with $1: Go. Those tests are skipped."
        return 0
    fi
    say "Building $1 $3"
    folder="$(mktemp -d)"
    from=. what="$2@$3"
    [ ! -d "$2" ] || { from="$2" what=.; }
    if (cd "$from" && GOBIN="$folder" CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false \
        go install -p 2 -ldflags "-s -w" -tags "${4:-}" "$what") >"$folder/log" 2>&1; then
        mkdir -p .peers
        mv "$folder/$1" ".peers/$1-$3"
        ln -sf "$1-$3" ".peers/$1"
    else
        say "$1 could not be built; its tests are skipped:"
        tail -3 "$folder/log" >&2
    fi
    rm -rf "$folder"
}

build derper tailscale.com/cmd/derper v1.102.5
build pionclient tests/interop/pionclient v4.1.4
build p2p tests/interop/p2p v0.52.0
build tailcontrol tests/interop/peers/tailcontrol v1.102.5
# the client takes four minutes of two cores, and its tests run where it is built: make peers
if [ "${1:-}" = all ]; then
    build tailscaled tailscale.com/cmd/tailscaled v1.102.5 "$(cat tests/interop/peers/tailscaled-tags.txt)"
fi
