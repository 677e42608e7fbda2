#!/usr/bin/env bash
# Calls every route of `examples/situations.rs` with curl, over HTTP/1.1 and HTTP/2, then ends it: situations.sh DSN
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/real/own.sh
base=http://127.0.0.1:3001
cargo build --quiet --example situations
SENTRY_DSN=$1 target/debug/examples/situations 2>/dev/null &
service=$!
for _ in $(seq 100); do curl --silent --output /dev/null --noproxy '*' --head "$base/empty" && break; sleep 0.1; done
for version in --http1.1 --http2-prior-knowledge; do
  call() { curl --silent --output /dev/null --noproxy '*' "$version" "$@" || true; }
  for path in /users/7 /api/items/9 /files/quickstart.rs /nowhere/4711 /empty /stream /broken /late /crash /caught /grpc; do call "$base$path"; done
  for code in 200 304 404 429 500 503; do call "$base/status/$code"; done
  call --head "$base/users/8"
  call --request BREW "$base/users/9"
  # curl goes away after this time: before the head, and within the body.
  call --max-time 1 "$base/never"
  call --max-time 1 --no-buffer "$base/endless"
done
kill -INT "$service"
wait "$service"
