#!/usr/bin/env bash
# All tests, or those that the arguments choose. What runs in network namespaces mostly waits and the rest mostly
# computes, so all of it goes in two halves side by side; the first one's output comes when both are over.
set -uo pipefail
cd "$(dirname "$0")/.."
pytest=(.venv/bin/python -m pytest)

if [ $# -gt 0 ]; then
  exec "${pytest[@]}" "$@"
fi

set -m # or what runs in the background would ignore Ctrl-C, and so would the programs that it tries that with
log="$(mktemp)"
"${pytest[@]}" tests/interop tests/netns --ignore-glob='tests/netns/test_p*' >"$log" 2>&1 </dev/null &
first=$!
trap 'kill -INT "$first" 2>/dev/null; wait "$first"; rm -f "$log"; exit 130' INT TERM HUP

"${pytest[@]}" --ignore=tests/interop --ignore-glob='tests/netns/test_[!p]*'
second=$?
[ "$second" -eq 2 ] && kill -INT "$first" # interrupted
wait "$first"
status=$?
trap - INT TERM HUP
cat "$log"
rm -f "$log"
[ "$status" -eq 0 ] && [ "$second" -eq 0 ]
