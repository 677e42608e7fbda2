#!/usr/bin/env bash
# Runs the tests that each set of features has: none and `axum` alone, which send over a transport of the tests, and the default.
# (`cargo test --all-features` runs all.)
set -euo pipefail
cd "$(dirname "$0")/.."

for options in "--no-default-features" "--no-default-features --features axum" ""; do
  # shellcheck disable=SC2086 # two options, not one
  # The slowest have nothing to do with features.
  log=$(cargo test --lib --test it $options -- --skip at_most_a_thousand --skip chokes_on 2>&1) || { tail -n 60 <<<"$log"; exit 1; }
  passed=$(grep -oE '[0-9]+ passed' <<<"$log" | awk '{ sum += $1 } END { print sum + 0 }')
  echo "features '${options:-default}': $passed passed"
  [[ $passed -ge 100 ]] || { echo "so few tests cannot be all"; exit 1; }
done
