#!/usr/bin/env bash
# What watching a service costs, with this crate, the official SDK and OpenTelemetry. About eight minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")"
# The official SDK's default transport links OpenSSL.
pkg-config --exists openssl 2>/dev/null || { apt-get update -qq; apt-get install -y -qq pkg-config libssl-dev >/dev/null; }
cargo build --quiet --release
python3 measure.py "$@"
