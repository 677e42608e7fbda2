#!/usr/bin/env bash
# The quickstart's traffic against real servers: a Bugsink that stores it, and Sentry's own normaliser that judges it.
# Spans beside them, in rotel, an OpenTelemetry collector. Each kind of item against the types of Sentry's SDK for JavaScript.
# Installs them into target/real-servers on the first run (about a minute), listens on loopback only, leaves nothing running.
#
#   tests/real/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/real/own.sh
home=${REAL_SERVERS_DIR:-$PWD/target/real-servers}
python=${PYTHON:-python3}
bugsink_port=${BUGSINK_PORT:-18110}
recorder_port=${RECORDER_PORT:-18111}
key=b0951e0000004000800000000000cafe
situations_key=b0951e0000004000800000000000beef
mkdir -p "$home"

say() { echo "real servers: $*" >&2; }

# install NAME OPTIONS... : a virtual environment with exactly the pinned packages.
install() {
  local name=$1
  shift
  if ! cmp -s "tests/real/$name.txt" "$home/$name/installed.txt"; then
    say "installing $name"
    rm -rf "${home:?}/$name"
    "$python" -m venv "$home/$name"
    "$home/$name/bin/pip" install --quiet --disable-pip-version-check --no-deps "$@" -r "tests/real/$name.txt"
    cp "tests/real/$name.txt" "$home/$name/installed.txt"
  fi
}
install relay --only-binary :all:
install bugsink
install rotel --only-binary :all:

servers=()
stop() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
trap stop EXIT

# until_up URL : waits until somebody answers.
until_up() {
  for _ in $(seq 150); do
    curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$1" && return
    sleep 0.2
  done
  say "nobody answers at $1"
  tail -n 20 "$home"/*.log >&2
  return 1
}

# A fresh, empty Bugsink.
data=$home/bugsink-data
rm -rf "$data"
mkdir -p "$data"
sed -e "s|@DATA@|$data|g" -e "s|@PORT@|$bugsink_port|g" tests/real/bugsink_conf.py >"$data/bugsink_conf.py"
export DJANGO_SETTINGS_MODULE=bugsink_conf PYTHONPATH="$data" NO_PROXY='*' no_proxy='*'
manage() { "$home/bugsink/bin/bugsink-manage" "$@" >>"$home/bugsink.log" 2>&1; }
: >"$home/bugsink.log"
manage migrate --no-input
manage migrate --no-input --database=snappea
token=$("$home/bugsink/bin/bugsink-manage" shell 2>>"$home/bugsink.log" <<PY | tail -1
import uuid
from bsmain.models import AuthToken
from projects.models import Project
from teams.models import Team
team = Team.objects.create(name="tests")
Project.objects.create(id=1, name="quickstart", slug="quickstart", team=team, sentry_key=uuid.UUID("$key"))
Project.objects.create(id=2, name="situations", slug="situations", team=team, sentry_key=uuid.UUID("$situations_key"))
print(AuthToken.create_full_access(token=uuid.uuid4().hex + "00000000").token)
PY
)
(cd "$data" && exec "$home/bugsink/bin/gunicorn" bugsink.wsgi --bind "127.0.0.1:$bugsink_port" --workers 1 --threads 4 >>"$home/bugsink.log" 2>&1) &
servers+=($!)
until_up "http://127.0.0.1:$bugsink_port/health/ready"

# A recorder that keeps every envelope: Bugsink stores no transactions and asks for silence about them.
recorded=$home/recorded
rm -rf "$recorded"
"$home/relay/bin/python" tests/real/record.py "$recorder_port" "$recorded" >"$home/recorder.log" 2>&1 &
servers+=($!)
until_up "http://127.0.0.1:$recorder_port/"

cargo build --quiet --example quickstart --example authority
say "sending the tour to Bugsink"
SENTRY_DSN="http://$key@127.0.0.1:$bugsink_port/1" cargo run --quiet --example quickstart -- --once 2>"$home/quickstart.log"
say "sending the tour to the recorder"
SENTRY_DSN="http://$key@127.0.0.1:$recorder_port/1" cargo run --quiet --example quickstart -- --once 2>"$home/quickstart.log"

say "calling every situation with curl"
rm -rf "$recorded-situations"
"$home/relay/bin/python" tests/real/record.py "$((recorder_port + 1))" "$recorded-situations" >>"$home/recorder.log" 2>&1 &
servers+=($!)
until_up "http://127.0.0.1:$((recorder_port + 1))/"
tests/real/situations.sh "http://$key@127.0.0.1:$((recorder_port + 1))/1"
tests/real/situations.sh "http://$situations_key@127.0.0.1:$bugsink_port/2"

"$home/bugsink/bin/python" tests/real/check_bugsink.py "http://127.0.0.1:$bugsink_port" "$token"
"$home/relay/bin/python" tests/real/check_relay.py "$recorded"
"$home/relay/bin/python" tests/real/check_situations.py "$recorded-situations"
cargo build --quiet --example otlp --features otlp
tests/real/otlp.sh "$home/otlp" "$((recorder_port + 40))" "$home/rotel"
cargo build --quiet --example import --features profiling
tests/real/types.sh "$home/types" "$((recorder_port + 50))" "$home/relay/bin/python" "$recorded" "$recorded-situations"
tests/real/transport.sh "$home/transport" "$((recorder_port + 10))"
tests/real/browser.sh "$home/browser" "$((recorder_port + 20))"
tests/real/quickdapp.sh "$home/quickdapp" "$((recorder_port + 30))"
