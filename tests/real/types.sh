#!/usr/bin/env bash
# What is sent of each kind, against the types of Sentry's own SDK for JavaScript: types.sh FOLDER PORT PYTHON RECORDED...
# Records both forms of `examples/import.rs`, adds what is RECORDED already, and compiles all of it with @sentry/core and
# TypeScript of npm, which it installs into FOLDER/npm. Needs the built example `import`. PYTHON has Sentry's normaliser.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/real/own.sh
folder=$(realpath -m "$1") port=$2 python=$3
shift 3
packages="@sentry/core@11.12.0 typescript@5.9.3"
key=b0951e0000004000800000000000cafe
mkdir -p "$folder"

if [[ $(cat "$folder/npm/packages" 2>/dev/null) != "$packages" ]]; then
  # shellcheck disable=SC2086
  npm install --no-audit --no-fund --ignore-scripts --silent --prefix "$folder/npm" $packages
  echo "$packages" >"$folder/npm/packages"
fi

started=()
trap 'kill "${started[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT
rm -rf "$folder"/recorded*
for form in streamed whole; do
  "$python" tests/real/record.py "$port" "$folder/recorded-$form" >"$folder/recorder.log" 2>&1 &
  started+=($!)
  for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  SENTRY_DSN="http://$key@127.0.0.1:$port/1" NO_PROXY='*' no_proxy='*' \
    "${CARGO_TARGET_DIR:-target}/debug/examples/import" "--$form" >"$folder/import.log" 2>&1 || { cat "$folder/import.log" >&2; exit 1; }
  port=$((port + 1))
done

"$python" tests/real/typescript.py "$folder/npm/recorded.ts" "$folder"/recorded-* "$@"
compile() {
  "$folder/npm/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2022 --module commonjs --moduleResolution node10 "$1"
}
compile "$folder/npm/recorded.ts" | cut -c1-300 || { echo "types: these are not as in @sentry/core" >&2; exit 1; }
# The control: the types notice a span without its end.
sed 's/"end_timestamp"/"ended_at"/' "$folder/npm/recorded.ts" >"$folder/npm/broken.ts"
if compile "$folder/npm/broken.ts" >"$folder/broken.log"; then echo "types: a broken span passes" >&2; exit 1; fi
echo "types: as in @sentry/core, and a broken span is noticed"
