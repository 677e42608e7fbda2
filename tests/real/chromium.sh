# To be sourced, from the root of the repository: a browser, and Sentry's SDK for it.
#
#   prepare_browser FOLDER PACKAGE... : sets `browser` to a Chromium and `bundle` to the SDK as one script. Installs Debian's chromium
#   if no Chromium is there, and @sentry/browser and the PACKAGEs of npm into FOLDER/npm.
source tests/real/own.sh

# Runs a command without a word: logged FILE COMMAND... If it fails, shows the end of what it wrote into FILE.
logged() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    echo "browser: this has failed: $*" >&2
    tail -n 20 "$log" >&2
    return 1
  }
}

install_chromium() {
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
}

prepare_browser() {
  local folder=$1 sdk=11.12.0 esbuild=0.28.2 packages
  shift
  packages="@sentry/browser@$sdk esbuild@$esbuild $*"
  mkdir -p "$folder"
  browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
  if [[ -z $browser ]]; then
    echo "browser: installing chromium" >&2
    logged "$folder/apt.log" install_chromium
    browser=$(command -v chromium)
  fi
  bundle=$folder/sentry-$sdk.js
  if [[ ! -f $bundle || $(cat "$folder/npm/packages" 2>/dev/null) != "$packages" ]]; then
    # shellcheck disable=SC2086
    logged "$folder/npm.log" npm install --no-audit --no-fund --ignore-scripts --prefix "$folder/npm" $packages
    "$folder/npm/node_modules/.bin/esbuild" "$folder/npm/node_modules/@sentry/browser" --bundle --minify --format=iife \
      --global-name=Sentry --log-level=error --outfile="$bundle"
    echo "$packages" >"$folder/npm/packages"
  fi
}
