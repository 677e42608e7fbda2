#!/usr/bin/env bash
# The same spans in a recorder of envelopes and in rotel, an OpenTelemetry collector: otlp.sh FOLDER FIRST_PORT VENV
# VENV has rotel. Needs ports FIRST_PORT to FIRST_PORT + 2 and the built example `otlp`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/real/own.sh
python=${PYTHON:-python3}
folder=$1 plain=$2 http=$(($2 + 1)) grpc=$(($2 + 2)) venv=$3
key=b0951e0000004000800000000000cafe
rm -rf "$folder"
mkdir -p "$folder"

servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT
"$python" tests/real/record.py "$plain" "$folder/recorded" >"$folder/recorder.log" 2>&1 &
servers+=($!)
agent=$(echo "$venv"/lib/python3*/site-packages/rotel/rotel-agent)
chmod +x "$agent"
"$agent" start --pid-file "$folder/agent.pid" --log-file "$folder/agent.log" --otlp-http-endpoint "127.0.0.1:$http" \
  --otlp-grpc-endpoint "127.0.0.1:$grpc" --exporter blackhole --debug-log traces --debug-log-verbosity detailed >"$folder/rotel.log" 2>&1 </dev/null &
servers+=($!)
for port in "$plain" "$http"; do
  for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2; sleep 0.1; done
  echo "otlp: nothing listens on port $port" >&2
  tail -n 20 "$folder"/*.log >&2
  exit 1
done

SENTRY_DSN="http://$key@127.0.0.1:$plain/1" OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$http" \
  OTEL_RESOURCE_ATTRIBUTES="service.namespace=north" NO_PROXY='*' no_proxy='*' \
  "${CARGO_TARGET_DIR:-target}/debug/examples/otlp" 2>"$folder/otlp.log"
"$python" tests/real/check_otlp.py "$folder/recorded" "$folder/rotel.log"
