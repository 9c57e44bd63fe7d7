#!/bin/sh
# The npm package's tests and the page's: types, Node, and a real Chromium, against real services.
# Installs what they need; what cannot be had is said in a sentence.
set -eu
cd "$(dirname "$0")"

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "JavaScript tests: skipped, there is no Node on this machine (install Node 20.12 or newer, with npm)"
    exit 0
fi
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 12) ? 0 : 1)'; then
    echo "JavaScript tests: skipped, this is Node $(node --version), and Node 20.12 or newer is needed"
    exit 0
fi

# Its install script would fetch CUDA, which nothing here uses, from another place than npm.
export ONNXRUNTIME_NODE_INSTALL=skip

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM
if [ ! -x "$CHROMIUM" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "JavaScript tests: installing Chromium (once)"
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } \
            >/dev/null 2>&1 || true
    fi
    [ -x "$CHROMIUM" ] || echo "JavaScript tests: the browser tests are skipped, there is no $CHROMIUM:" \
        "install Chromium (on Debian: apt-get install chromium), or set CHROMIUM to its place"
fi

for package in "$@"; do
    cd "$package"
    if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
        npm ci --no-audit --no-fund --loglevel=error --fetch-retries=1 || {
            echo "test-$package: failed, npm could not fetch its packages, for the reason above" >&2
            exit 1
        }
    fi
    npm test --silent
    cd ..
done
