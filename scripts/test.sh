#!/usr/bin/env bash
# All tests, or those that the arguments choose. What runs in network namespaces mostly waits and the rest mostly
# computes, so all of it goes in seven parts side by side, on two cores; each part's output comes when the part
# before is over.
set -uo pipefail
cd "$(dirname "$0")/.."
pytest=(.venv/bin/python -m pytest)
[ -z "${NATTOOLS_COVERAGE:-}" ] || pytest=(.venv/bin/python -m coverage run -m pytest)

if [ $# -gt 0 ]; then
  exec "${pytest[@]}" "$@"
fi

.venv/bin/python -m compileall -q -j 2 nattools # it is started hundreds of times, where bytecode may not be written too

set -m # or what runs in the background would ignore Ctrl-C, and so would the programs that it tries that with
logs="$(mktemp -d)"
parts=()

part() {
  "${pytest[@]}" "$@" >"$logs/${#parts[@]}" 2>&1 </dev/null &
  parts+=("$!")
}

split=(tests/scenarios/test_pwnat_matrix.py tests/scenarios/test_router_faults.py)
part --ignore=tests/netns --ignore=tests/properties --ignore=tests/scenarios --ignore=tests/interop
part tests/scenarios/test_scenarios.py
part tests/scenarios --ignore=tests/scenarios/test_scenarios.py "${split[@]/#/--ignore=}"
part tests/netns --ignore-glob='tests/netns/test_[!a-l]*'
part "${split[@]}" tests/netns --ignore-glob='tests/netns/test_[!p]*'
part tests/interop tests/netns --ignore-glob='tests/netns/test_[a-lp]*'
part tests/properties
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
