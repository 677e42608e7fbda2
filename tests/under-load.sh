#!/usr/bin/env bash
# Runs all tests several times while other programs keep the machine busy: no test may depend on how fast it is.
#
#   tests/under-load.sh [RUNS] [LOOPS]    five runs beside eight busy loops, unless said otherwise
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-5}
loops=${2:-8}

cargo test --quiet --all-features --lib --test it --no-run
trap 'kill $(jobs -p) 2>/dev/null' EXIT
for _ in $(seq "$loops"); do
  while :; do :; done &
done

red=0
for run in $(seq "$runs"); do
  begun=$SECONDS
  if ! log=$(cargo test --all-features --no-fail-fast --lib --test it 2>&1); then
    red=$((red + 1))
    grep -E '^test .* FAILED|panicked at' <<<"$log" || tail -n 40 <<<"$log"
  fi
  # `N passed` stands in the line of each of the two binaries.
  passed=$(grep -oE '[0-9]+ passed' <<<"$log" | awk '{ sum += $1 } END { print sum + 0 }')
  echo "run $run of $runs beside $loops busy loops: $passed passed, $((SECONDS - begun)) s"
done
echo "$red of $runs runs had red tests"
[[ $red == 0 ]]
