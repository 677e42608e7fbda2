#!/usr/bin/env bash
# A real browser: Chromium opens a page of `examples/browser.rs`, whose script throws an error, and the error must
# arrive through the tunnel, redacted, in the trace of the page's own request: browser.sh FOLDER PORT
# Installs Debian's chromium if no Chromium is there, and @sentry/browser of npm into FOLDER. Listens on loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
folder=$(realpath -m "$1") port=$2
key=b0951e0000004000800000000000cafe

source tests/real/chromium.sh
prepare_browser "$folder"

started=()
trap 'kill "${started[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT
fail() {
  echo "browser: $*" >&2
  tail -n 20 "$folder"/{recorder,service,chromium}.log >&2
  exit 1
}

rm -rf "$folder"/{recorded,profile} "$folder"/{service,chromium}.log
"$python" tests/real/record.py "$port" "$folder/recorded" >"$folder/recorder.log" 2>&1 &
started+=($!)
cargo build --quiet --example browser --features browser
SENTRY_DSN="http://$key@127.0.0.1:$port/1" "${CARGO_TARGET_DIR:-target}/debug/examples/browser" "$bundle" >"$folder/service.log" 2>&1 &
started+=($!)
for _ in $(seq 100); do
  page=$(grep -m 1 -o 'http://.*' "$folder/service.log" || true)
  [[ -z $page ]] || break
  sleep 0.1
done
[[ -n $page ]] || fail "the service does not start"

"$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --no-proxy-server --remote-debugging-port=0 \
  --user-data-dir="$folder/profile" "$page" >"$folder/chromium.log" 2>&1 &
started+=($!)
"$python" tests/real/check_browser.py "$folder/recorded" || fail "see above"
