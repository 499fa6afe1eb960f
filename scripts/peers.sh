#!/bin/sh
# Other people's Go programs that tests run against, built from their modules into .peers/ where Go is installed.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

build() { # name, package, version; or name, a folder with a module, the version of what it is built with
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
        go install -p 2 -ldflags "-s -w" "$what") >"$folder/log" 2>&1; then
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
