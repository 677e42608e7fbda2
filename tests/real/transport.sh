#!/usr/bin/env bash
# TLS and proxies between the exporter and servers in Python: transport.sh FOLDER FIRST_PORT
# Needs ports FIRST_PORT to FIRST_PORT + 3 and the built examples `quickstart` and `authority`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/real/own.sh
python=${PYTHON:-python3}
folder=$1 tls=$2 plain=$(($2 + 1)) proxy=$(($2 + 2)) mutual=$(($2 + 3))
key=b0951e0000004000800000000000cafe
examples=${CARGO_TARGET_DIR:-target}/debug/examples
quickstart=$examples/quickstart
rm -rf "$folder"
mkdir -p "$folder"
fail() {
  echo "transport: $*" >&2
  tail -n 20 "$folder"/*.log >&2
  exit 1
}

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=an authority" -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>"$folder/openssl.log"
openssl req -newkey rsa:2048 -nodes -subj "/CN=sentry.test" -keyout "$folder/key.pem" -out "$folder/request.pem" 2>>"$folder/openssl.log"
openssl x509 -req -in "$folder/request.pem" -days 2 -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -out "$folder/cert.pem" \
  -extfile <(echo "subjectAltName=DNS:sentry.test,DNS:localhost") 2>>"$folder/openssl.log"
openssl req -newkey rsa:2048 -nodes -subj "/CN=a service" -keyout "$folder/client.key" -out "$folder/client.request" 2>>"$folder/openssl.log"
openssl x509 -req -in "$folder/client.request" -days 2 -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -out "$folder/client.pem" \
  -extfile <(echo "basicConstraints=CA:FALSE") 2>>"$folder/openssl.log"
cat "$folder/client.pem" "$folder/client.key" >"$folder/identity.pem"

servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT
"$python" tests/real/record.py "$tls" "$folder/secure" "$folder/cert.pem" "$folder/key.pem" >"$folder/secure.log" 2>&1 &
servers+=($!)
"$python" tests/real/record.py "$plain" "$folder/plain" >"$folder/plain.log" 2>&1 &
servers+=($!)
"$python" tests/real/proxy.py "$proxy" "$folder/asked" >"$folder/proxy.log" 2>&1 &
servers+=($!)
"$python" tests/real/record.py "$mutual" "$folder/mutual" "$folder/cert.pem" "$folder/key.pem" "$folder/ca.pem" >"$folder/mutual.log" 2>&1 &
servers+=($!)
for port in "$tls" "$plain" "$proxy" "$mutual"; do
  for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2; sleep 0.1; done
  fail "nobody listens on port $port"
done

# sends NAME RECORDER WHAT VARIABLE=VALUE... : the tour; `WHAT` is the line the proxy must have noted, or `straight`; RECORDER who must have it, or `nobody`.
sends() {
  local name=$1 recorder=$2 what=$3
  shift 3
  : >"$folder/asked"
  rm -f "$folder"/secure/* "$folder"/plain/*
  # The tour fails where nothing arrives.
  local arrived=yes
  env -u NO_PROXY -u no_proxy SENTRY_DEBUG=1 "$@" "$quickstart" --once >"$folder/$name.log" 2>&1 || arrived=no
  [[ $recorder == nobody ]] || [[ $arrived == yes ]] || fail "$name: the tour failed"
  [[ $recorder != nobody ]] || [[ $arrived == no ]] || fail "$name: the tour says that all was sent"
  for other in secure plain; do
    local files
    files=$(find "$folder/$other" -name '*.envelope' | wc -l)
    if [[ $other == "$recorder" ]]; then
      ((files > 0)) || fail "$name: nothing arrived"
      grep -q -- '"transaction":"GET /users/{id}"' "$folder/$other"/*.envelope || fail "$name: no transaction of the tour"
    else
      ((files == 0)) || fail "$name: $files envelopes went where none should"
    fi
  done
  if [[ $what == straight ]]; then
    [[ ! -s $folder/asked ]] || fail "$name: went by the proxy: $(head -1 "$folder/asked")"
  else
    [[ $(sort -u "$folder/asked") == "$what" ]] || fail "$name: the proxy was asked for $(sort -u "$folder/asked")"
  fi
}

basic="Basic $(printf 'me:pa55' | base64)"
trusted=SSL_CERT_FILE=$folder/ca.pem
path=/api/1/envelope/
sends tls secure straight "$trusted" "SENTRY_DSN=https://$key@localhost:$tls/1" "ALL_PROXY=http://127.0.0.1:$proxy"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=another authority" -keyout "$folder/other.key" -out "$folder/other.pem" 2>>"$folder/openssl.log"
sends stranger nobody straight "SSL_CERT_FILE=$folder/other.pem" "SENTRY_DSN=https://$key@localhost:$tls/1"
grep -q 'cannot be reached (invalid peer certificate: UnknownIssuer)' "$folder/stranger.log" || fail "who does not trust a certificate is not told so"
sends another-name nobody straight "$trusted" "SENTRY_DSN=https://$key@127.0.0.1:$tls/1"
sends tunnel secure "CONNECT sentry.test $basic" "$trusted" "SENTRY_DSN=https://$key@sentry.test:$tls/1" "HTTPS_PROXY=http://me:pa55@127.0.0.1:$proxy"
sends forward plain "POST sentry.test$path $basic" "SENTRY_DSN=http://$key@sentry.test:$plain/1" "HTTP_PROXY=http://me:pa55@127.0.0.1:$proxy"
sends open-forward plain "POST sentry.test$path nobody" "SENTRY_DSN=http://$key@sentry.test:$plain/1" "http_proxy=127.0.0.1:$proxy"
sends socks secure "SOCKS sentry.test me:pa55" "$trusted" "SENTRY_DSN=https://$key@sentry.test:$tls/1" "ALL_PROXY=socks5h://me:pa55@127.0.0.1:$proxy"
sends none nobody straight "SENTRY_DSN=http://$key@sentry.test:$plain/1" "HTTP_PROXY=http://127.0.0.1:$proxy" NO_PROXY=.test
env -u NO_PROXY -u no_proxy SENTRY_DEBUG=1 "SENTRY_DSN=http://$key@sentry.test:$plain/1" ALL_PROXY=socks4://127.0.0.1:1 "$quickstart" --once >"$folder/unknown.log" 2>&1 || true
grep -q "ALL_PROXY: expected a proxy's URL .*, found the scheme 'socks4'" "$folder/unknown.log" || fail "a proxy of an unknown kind is not named"

# says NAME RECORDER PORT VARIABLE=VALUE... : one message by `examples/authority.rs`; RECORDER who must have it, or `nobody`.
says() {
  local name=$1 recorder=$2 port=$3
  shift 3
  rm -f "$folder"/secure/* "$folder"/mutual/*
  env -u SSL_CERT_FILE "SENTRY_DSN=https://$key@localhost:$port/1" SENTRY_DEBUG=1 "$@" "$examples/authority" >"$folder/$name.log" 2>&1 || [[ $recorder == nobody ]] || fail "$name: not sent"
  for other in secure mutual; do
    local files
    files=$(find "$folder/$other" -name '*.envelope' | wc -l)
    if [[ $other == "$recorder" ]]; then ((files == 1)); else ((files == 0)); fi || fail "$name: $files envelopes at $other"
  done
}

says no-authority nobody "$tls"
grep -q 'cannot be reached (invalid peer certificate: UnknownIssuer)' "$folder/no-authority.log" || fail "who does not trust a certificate is not told so"
says authority secure "$tls" "CA_FILE=$folder/ca.pem"
says no-identity nobody "$mutual" "CA_FILE=$folder/ca.pem"
says identity mutual "$mutual" "CA_FILE=$folder/ca.pem" "IDENTITY_FILE=$folder/identity.pem"
says bad-authority nobody "$tls" "CA_FILE=tests/real/transport.sh"
grep -q 'ca_certificate: expected certificates in PEM, found none' "$folder/bad-authority.log" || fail "a file without certificates is not an error"
echo "transport: TLS, certificates of strangers and of other names, proxies that forward, tunnel and speak SOCKS5, exceptions,"
echo "transport: an authority of one's own by setting, a certificate of one's own by http_client: as told"
