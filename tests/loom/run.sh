#!/usr/bin/env bash
# Checks the queue and the index of spans in all orders in which their threads may run, and that faults of order are found.
set -euo pipefail
cd "$(dirname "$0")"
RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo run --quiet --target-dir ../../target/loom
python3 faults.py
