#!/usr/bin/env bash
# All tests, or those that the arguments choose; where "+" stands between arguments, what is before and what is
# after it side by side. What runs in network namespaces mostly waits and the rest mostly computes, so all of it
# goes in eleven parts side by side, on two cores; each part's output comes when the part before is over. Those that
# compute leave the others the precedence: real time matters to them.
set -uo pipefail
cd "$(dirname "$0")/.."
pytest=(.venv/bin/python -m pytest)
[ -z "${NATTOOLS_COVERAGE:-}" ] || pytest=(.venv/bin/python -m coverage run -m pytest)

case " $* " in
"  " | *" + "*) ;;
*) exec "${pytest[@]}" "$@" ;;
esac

.venv/bin/python -m compileall -q -j 2 nattools # it is started hundreds of times, where bytecode may not be written too

set -m # or what runs in the background would ignore Ctrl-C, and so would the programs that it tries that with
logs="$(mktemp -d)"
parts=()

part() {
  "${pytest[@]}" "$@" >"$logs/${#parts[@]}" 2>&1 </dev/null &
  parts+=("$!")
}

computing() {
  part "$@"
  renice -n 3 "${parts[-1]}" >/dev/null
}

all_parts() {
  local share netns=tests/netns
  computing tests/properties
  computing tests/scenarios -m "not netns"
  computing --ignore=tests/netns --ignore=tests/properties --ignore=tests/scenarios --ignore=tests/interop
  for share in 1/4 2/4 3/4 4/4; do
    NATTOOLS_SHARE=$share part tests/scenarios -m netns
  done
  part $netns --ignore-glob="$netns/test_[!a-h]*"
  part $netns --ignore-glob="$netns/test_[a-hp]*"
  part $netns --ignore-glob="$netns/test_[!p]*"
  part tests/interop
}

chosen_parts() {
  local chosen=()
  for word in "$@" +; do
    if [ "$word" = + ]; then
      [ "${#chosen[@]}" = 0 ] || part "${chosen[@]}"
      chosen=()
    else
      chosen+=("$word")
    fi
  done
}

if [ $# -gt 0 ]; then chosen_parts "$@"; else all_parts; fi
trap 'kill -INT "${parts[@]}" 2>/dev/null; wait; rm -rf "$logs"; exit 130' INT TERM HUP

failed=0
for number in "${!parts[@]}"; do
  tail -n +1 -F "$logs/$number" 2>/dev/null &
  shown=$!
  wait "${parts[$number]}" || failed=1
  sleep 1
  kill "$shown" 2>/dev/null
  wait "$shown" 2>/dev/null
done
trap - INT TERM HUP
rm -rf "$logs"
exit "$failed"
