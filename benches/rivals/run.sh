#!/usr/bin/env bash
# Ours beside the others: instructions, allocations, start, throughput. Prints the table of the guide's page on cost.
# About ten minutes on two cores, most of them for building; `./run.sh cg` prints the instructions alone.
# Each contender is built by itself, or cargo would unify their features.
set -euo pipefail
cd "$(dirname "$0")"
parts=${*:-cg alloc init load}
need() { command -v "$1" >/dev/null || { apt-get update -qq; apt-get install -y -qq "${2:-$1}" >/dev/null; }; }
need valgrind; need python3
[[ $parts != *load* ]] || need wrk
# The official SDK's default transport links OpenSSL.
pkg-config --exists openssl 2>/dev/null || { apt-get update -qq; apt-get install -y -qq pkg-config libssl-dev >/dev/null; }
for contender in c-bare c-registry c-tower-http c-fastrace c-otel c-sentry c-tower-sentry; do
  cargo build --release --quiet -p "$contender"
done
for part in $parts; do
  echo "== $part"
  case $part in
    cg) python3 measure.py cg --variants s5,s0,s20,err ;;
    alloc) python3 measure.py alloc --variants s5,s0,s20 ;;
    init) python3 measure.py init --rounds 40 ;;
    load) python3 load.py ;;
    *) echo "unknown part $part: expected cg, alloc, init or load" >&2; exit 2 ;;
  esac
done
