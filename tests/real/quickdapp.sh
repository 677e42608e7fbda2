#!/usr/bin/env bash
# A real browser in QuickDapp: Chromium signs in, deploys a token and throws errors, and what arrives in the two projects
# is checked: quickdapp.sh FOLDER FIRST_PORT
# Installs Debian's chromium if no Chromium is there, and @sentry/browser and a driver of npm into FOLDER. Needs ports
# FIRST_PORT and FIRST_PORT + 1. Listens on loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
folder=$(realpath -m "$1") server=$2 worker=$(($2 + 1))
driver=1.64.1
key=b0951e0000004000800000000000cafe

source tests/real/chromium.sh
prepare_browser "$folder" "playwright-core@$driver"

started=()
trap 'kill "${started[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT
fail() {
  echo "quickdapp: $*" >&2
  tail -n 20 "$folder"/{recorder,dapp,browser}.log >&2
  exit 1
}

rm -rf "$folder"/{server,worker,sent} "$folder"/{recorder,dapp,browser}.log
"$python" tests/real/record.py "$server" "$folder/server" >"$folder/recorder.log" 2>&1 &
started+=($!)
"$python" tests/real/record.py "$worker" "$folder/worker" >>"$folder/recorder.log" 2>&1 &
started+=($!)
for port in "$server" "$worker"; do
  for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2; sleep 0.1; done
  fail "nothing listens on port $port"
done
cargo build --quiet -p quickdapp
SENTRY_DSN="http://$key@127.0.0.1:$server/1" SENTRY_WORKER_DSN="http://$key@127.0.0.1:$worker/2" QUICKDAPP_BUNDLE=$bundle \
  "${CARGO_TARGET_DIR:-target}/debug/quickdapp" >"$folder/dapp.log" 2>&1 &
dapp=$!
started+=("$dapp")
page=
for _ in $(seq 100); do
  page=$(sed -n 's/^QuickDapp: //p' "$folder/dapp.log")
  [[ -z $page ]] || break
  sleep 0.1
done
[[ -n $page ]] || fail "the application does not start"

cp tests/real/quickdapp.mjs "$folder/npm/"
timeout 150 node "$folder/npm/quickdapp.mjs" "$browser" "$page" "$folder/sent" >"$folder/browser.log" 2>&1 || fail "the browser"
# Both processes deliver what they have when they end.
kill "$dapp"
wait "$dapp" || fail "the application has not ended in order"
"$python" tests/real/check_quickdapp.py "$folder" || fail "see above"
