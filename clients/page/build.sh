#!/bin/sh
# Builds the page into clients/page/dist unless it is newer than what it is built from.
# Ends with 3 and one line when there is no Node to build it with, or no package registry.
set -eu
cd "$(dirname "$0")"

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1 ||
    ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 12) ? 0 : 1)'; then
    echo "the web page is not built: that needs Node 20.12 or newer, with npm" >&2
    exit 3
fi
if [ -f dist/index.html ] &&
    ! find src build.mjs package-lock.json ../js/src ../js/package-lock.json -newer dist/index.html | grep -q .; then
    exit 0
fi

echo "building the web page" >&2
# Install scripts fetch from other places than npm, and nothing here needs them.
for package in ../js .; do
    if [ ! "$package/node_modules/.package-lock.json" -nt "$package/package-lock.json" ]; then
        npm ci --prefix "$package" --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 || {
            echo "the web page is not built: npm could not fetch its packages, for the reason above" >&2
            exit 3
        }
    fi
done
npm run build --silent
