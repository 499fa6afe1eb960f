#!/bin/sh
# Make .venv with nattools and the tools of its developers, or bring it up to date. Prints only when it works.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

python_with_venv() {
    for candidate in ${PYTHON_FOR_VENV:-} python3.13 python3.12 python3.11 python3.14 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
            "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

wanted=$(cat pyproject.toml nattools/__init__.py scripts/setup.sh | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.nattools-setup 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if ! python=$(python_with_venv); then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Installing Python from Debian's packages ..."
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3 python3-venv >&2
    fi
    if ! python=$(python_with_venv); then
        say "nattools needs Python 3.11 or later with its venv module."
        say "On Debian and Ubuntu:  sudo apt-get install python3 python3-venv"
        exit 3
    fi
fi

say "Setting up .venv with $("$python" --version) ..."
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
printf '%s' "$wanted" >.venv/.nattools-setup
