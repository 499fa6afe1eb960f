#!/usr/bin/env bash
# As root: the tests that need network namespaces and other people's programs, once more as an ordinary user, who is
# made for it and removed again: without root, with a user's PATH and a shell's ordinary 1,024 open files.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec scripts/test.sh "$@"

user="nattester$$"
folder="$(mktemp -d)"
cleanup() {
  pkill -KILL -u "$user" 2>/dev/null || true
  userdel "$user" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

useradd --no-create-home --home-dir "$folder" "$user"
chmod 755 "$folder"
as_user=(setpriv "--reuid=$user" "--regid=$user" --clear-groups)

# a Python that the user may run: one in root's home is out of reach, then the system's or a copy with its library
read -r base version < <(.venv/bin/python -c 'import sys; print(sys.base_prefix, "%d.%d" % sys.version_info[:2])')
usable() { "${as_user[@]}" env "$1/bin/python$version" -c 'import ssl, venv' 2>/dev/null; }
usable "$base" || if usable /usr; then
  base=/usr
else
  cp -a "$base" "$folder/python"
  base="$folder/python"
  export LD_LIBRARY_PATH="$base/lib"
fi
tree="$folder/nattools"
mkdir "$tree"
git ls-files -z | xargs -0 cp --parents -t "$tree"
[ ! -d .peers ] || cp -a .peers "$tree"
"$base/bin/python$version" -m venv --without-pip "$tree/.venv"
packages="$tree/.venv/lib/python$version/site-packages"
cp -a ".venv/lib/python$version/site-packages/." "$packages"
rm -f "$packages"/__editable__*nattools*
echo "$tree" >"$packages/nattools.pth"
chown -R "$user:" "$folder"

cd "$tree"
"${as_user[@]}" prlimit --nofile=1024:20000 env -i "HOME=$folder" "USER=$user" PATH=/usr/local/bin:/usr/bin:/bin \
  LANG=C.UTF-8 ${LD_LIBRARY_PATH:+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} ${NATTOOLS_REQUIRE_ALL:+NATTOOLS_REQUIRE_ALL=1} scripts/test.sh "$@"
