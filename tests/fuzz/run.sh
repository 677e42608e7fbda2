#!/usr/bin/env bash
# Fuzzes each target: `run.sh [seconds for each] [target ..]`. An input that breaks a property is left in `target/fuzz/found`.
#
# libFuzzer, on stable: the compiler's coverage comes from `-C` flags, and no sanitizer is needed where there is no `unsafe`.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-7}
shift || true
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(baggage body dsn envelope rate_limit redact segment sql url)
root=$(cd ../.. && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"

command -v c++ >/dev/null || { apt-get update -qq && apt-get install -y -qq g++ >/dev/null; }
# With `--target`, the flags are not those of build scripts.
RUSTFLAGS="--cfg fuzzing $coverage" cargo build --quiet --release --target "$host" --target-dir "$root/target/fuzz"
mkdir -p "$root/target/fuzz/found"

failed=0
for target in "${targets[@]}"; do
  seeds=$(mktemp -d)
  # New inputs go to the first folder.
  if ! log=$(FUZZ_TARGET=$target "$root/target/fuzz/$host/release/fuzz" "$seeds" "corpus/$target" -max_total_time="$seconds" -max_len=2048 \
    -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$root/target/fuzz/found/$target-" 2>&1); then
    grep -vE '^#[0-9]|^INFO' <<<"$log" | tail -n 40
    failed=1
  fi
  runs=$(sed -n 's/.*number_of_executed_units: *//p' <<<"$log")
  covered=$(grep -oE 'cov: [0-9]+' <<<"$log" | tail -1)
  echo "fuzz $target: ${runs:-0} inputs, ${covered:-cov: 0} edges"
  # Of fewer inputs nothing can be said, and a target without coverage does nothing.
  [[ ${runs:-0} -ge 100 && ${covered#cov: } -ge 20 ]] || failed=1
  rm -rf "$seeds"
done
exit $failed
