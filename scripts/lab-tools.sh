#!/bin/sh
# The Debian packages that the lab's tests need: installed as root, otherwise named.
set -eu

say() { printf '%s\n' "$*" >&2; }

missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need nft nftables
need ip iproute2
need turnserver coturn
need stun stun-client
need tshark tshark
need miniupnpd miniupnpd-nftables
need tayga tayga
need upnpc miniupnpc
need natpmpc natpmpc
need avahi-daemon avahi-daemon
need yggdrasil yggdrasil

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "Installing Debian's packages for the lab:$missing"
    apt-get update -q >/dev/null
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
    exit 0
fi
say "Missing for the tests in network namespaces and with other people's programs:$missing"
say "Those tests are skipped. To run them:  sudo apt-get install$missing"
