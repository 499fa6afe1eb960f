#!/bin/sh
# Other people's programs that tests run against: Go ones built from their modules into .peers/ where Go is installed,
# and one for Node from npm where that is.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

state() { # a version, and where a folder was given, which state of what it holds
    [ -d "$2" ] || { echo "$1"; return; }
    echo "$1-$(find "$2" -type f -not -name '*.md' | LC_ALL=C sort | xargs cat | cksum | cut -d' ' -f1)"
}

build() { # name, package, version, its build tags; or a folder with a module, and the version of what is in it
    stamp="$(state "$3" "$2")"
    [ -x ".peers/$1-$stamp" ] && ln -sf "$1-$stamp" ".peers/$1" && return 0
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
        mv "$folder/$1" ".peers/$1-$stamp"
        ln -sf "$1-$stamp" ".peers/$1"
    else
        say "$1 could not be built; its tests are skipped:"
        tail -3 "$folder/log" >&2
    fi
    rm -rf "$folder"
}

install_js() { # a folder with a program for Node, the version of what it is made with
    stamp="$(state "$2" "$1")"
    [ -x ".peers/jspeer-$stamp" ] && ln -sf "jspeer-$stamp" .peers/jspeer && return 0
    if ! command -v npm >/dev/null 2>&1; then
        say "Missing for the tests with jspeer: Node and npm. Those tests are skipped."
        return 0
    fi
    say "Installing jspeer $2"
    folder=".peers/jspeer-$stamp.d"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$1"/package.json "$1"/main.mjs "$folder"
    if (cd "$folder" && npm install --no-audit --no-fund --ignore-scripts) >"$folder/log" 2>&1; then
        printf '#!/bin/sh\nexec node "%s/main.mjs" "$@"\n' "$PWD/$folder" >".peers/jspeer-$stamp"
        chmod +x ".peers/jspeer-$stamp"
        ln -sf "jspeer-$stamp" .peers/jspeer
    else
        say "jspeer could not be installed; its tests are skipped:"
        tail -3 "$folder/log" >&2
    fi
}

build derper tailscale.com/cmd/derper v1.102.5
build pionclient tests/interop/pionclient v4.1.4
build p2p tests/interop/p2p v0.52.0
build tailcontrol tests/interop/peers/tailcontrol v1.102.5
# the client takes four minutes of two cores, and its tests run where it is built: make peers
if [ "${1:-}" = all ]; then
    build tailscaled tailscale.com/cmd/tailscaled v1.102.5 "$(cat tests/interop/peers/tailscaled-tags.txt)"
fi
install_js tests/interop/jspeer 3.3
