#!/usr/bin/env bash
# The table of the guide's page on delivery: outages and bad servers for us, and for the official SDK beside. Arguments are names of rows.
set -euo pipefail
cd "$(dirname "$0")"
# The official SDK's default transport links OpenSSL.
pkg-config --exists openssl 2>/dev/null || { apt-get update -qq; apt-get install -y -qq pkg-config libssl-dev >/dev/null; }
cargo build --release --quiet -p f-sentry
cd ../..
TOWER_SENTRY_RIVAL=$PWD/target/rivals/release/f-sentry cargo bench --quiet --bench faults -- "$@"
