#!/usr/bin/env bash
# Builds a program for production and tells Sentry about it. The program is small, because its debug information is
# taken out; Sentry has that, and shows functions, files, lines and source code for the addresses in an event.
#
#   examples/release.sh shop                      the program `shop` of the package in this folder
#   examples/release.sh shop --package payments   options for `cargo build`
#
# Needs objcopy and readelf (binutils), and sentry-cli: https://docs.sentry.io/cli/installation/ or `npm install @sentry/cli`.
# sentry-cli reads SENTRY_AUTH_TOKEN, SENTRY_ORG and SENTRY_PROJECT, and SENTRY_URL if the server is your own.
# Without SENTRY_AUTH_TOKEN nothing is sent: everything else is done, and the files are checked.
# SENTRY_RELEASE names the release, as it does for the running program; otherwise it is `NAME@COMMIT`.
set -euo pipefail
name=$1
shift
cli=${SENTRY_CLI:-sentry-cli}
release=${SENTRY_RELEASE:-$name@$(git rev-parse --short=12 HEAD)}
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
program=$target/release/$name
out=$target/release-files/$name

# Line tables are enough for functions, files and lines. They do not make the program slower.
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --bin "$name" "$@"
if ! readelf --notes "$program" | grep -q 'Build ID'; then
  echo "release: $program has no build id. Set RUSTFLAGS='-C link-arg=-Wl,--build-id'." >&2
  exit 1
fi

# `out/bin` is what you deploy; `out/debug` is what Sentry gets. The build id is in both.
rm -rf "$out"
mkdir -p "$out/bin" "$out/debug"
objcopy --only-keep-debug "$program" "$out/debug/$name.debug"
objcopy --strip-all --add-gnu-debuglink="$out/debug/$name.debug" "$program" "$out/bin/$name"

if [[ -z ${SENTRY_AUTH_TOKEN:-} ]]; then
  "$cli" debug-files check "$out/debug/$name.debug"
  echo "release: SENTRY_AUTH_TOKEN is not set, so nothing was sent for $release"
  exit
fi
"$cli" releases new "$release"
# With a repository that Sentry knows, it finds the commits itself; else they come from this folder's history.
"$cli" releases set-commits --auto "$release" || "$cli" releases set-commits --local "$release" || echo "release: $release has no commits" >&2
"$cli" debug-files upload --include-sources "$out/debug"
"$cli" releases finalize "$release"
echo "release: $release is known to Sentry; deploy $out/bin/$name with SENTRY_RELEASE=$release"
