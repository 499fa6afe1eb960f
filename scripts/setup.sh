#!/bin/sh
# Make .venv with nattools, or bring it up to date; "setup.sh dev" with the tools of its developers too. Prints only
# when there is something to do.
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

case "${1:-}" in
"") what=. for="to run it" compile=--no-compile ;; # what is imported is compiled then
dev) what='.[dev]' for="to run, check and test it" compile=--compile ;; # tests start it hundreds of times
*)
    say "usage: setup.sh [dev]"
    exit 2
    ;;
esac

# A set-up for developers has all that one for users has.
wanted=$(cat pyproject.toml nattools/__init__.py scripts/setup.sh | cksum)
if [ -x .venv/bin/python ]; then
    for done in "$what" '.[dev]'; do
        [ "$(cat .venv/.nattools-setup 2>/dev/null)" = "$done $wanted" ] && exit 0
    done
    if [ "$what" = . ] && grep -q '^\.\[dev\]' .venv/.nattools-setup 2>/dev/null; then
        what='.[dev]' for="to run, check and test it"
    fi
fi

if ! python=$(python_with_venv); then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Installing Debian's packages python3 and python3-venv ..."
        said=$({
            apt-get update -q
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv
        } 2>&1) || say "$said"
    fi
    if ! python=$(python_with_venv); then
        say "nattools needs Python 3.11 or later with its venv module."
        say "On Debian and Ubuntu:  sudo apt-get install python3 python3-venv"
        exit 3
    fi
fi

# The pip that every Python carries runs as it is: to unpack and compile it first takes as long as all the rest.
pip=$("$python" -c '
import ensurepip, glob, sysconfig
folders = [ensurepip.__path__[0] + "/_bundled", sysconfig.get_config_var("WHEEL_PKG_DIR")]
print(*[wheel for folder in folders if folder for wheel in glob.glob(folder + "/pip-*.whl")][:1])')
if [ ! -x .venv/bin/python ]; then
    say "Making .venv, a Python environment of its own, with $("$python" --version) ..."
    "$python" -m venv ${pip:+--without-pip} .venv
fi
if .venv/bin/python -c 'import pip' 2>/dev/null; then
    set -- -m pip install
else
    set -- "$pip/pip" install "$pip"
fi
if [ "$what" = . ]; then # without building a package: that takes a build system, and longer than what is needed
    .venv/bin/python -c '
import os, sysconfig, tomllib
needed = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]
open(".venv/requirements.txt", "w").write("\n".join(needed))
open(sysconfig.get_path("purelib") + "/nattools.pth", "w").write(os.getcwd())'
    printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m nattools "$@"\n' "$PWD" >.venv/bin/nattools
    chmod 755 .venv/bin/nattools
    set -- "$@" --requirement .venv/requirements.txt
else
    set -- "$@" --editable "$what"
fi
say "Installing nattools into .venv, and what is needed $for:"
{
    .venv/bin/python "$@" --disable-pip-version-check "$compile" 2>&1 || echo "pip has failed"
} | tee .venv/setup.log | {
    number=0
    while read -r doing name _; do
        [ "$doing" = Collecting ] || continue
        [ $((number % 8)) -eq 0 ] && [ "$number" -gt 0 ] && printf '\n'
        printf ' %s' "${name%%[!A-Za-z0-9_.-]*}"
        number=$((number + 1))
    done
    printf '\n'
} >&2
if grep -q '^pip has failed' .venv/setup.log; then
    grep -v '^pip has failed' .venv/setup.log | tail -15 >&2
    say "pip could not install what is needed (.venv/setup.log has all that it said). Is the internet within reach?"
    exit 3
fi
printf '%s' "$what $wanted" >.venv/.nattools-setup
