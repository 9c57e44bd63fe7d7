#!/bin/sh
# Checks prometheus.yml, checks and tests the alerts, with `promtool`.
# PROMTOOL_BIN names the binary when it is not on the path.
set -eu
cd "$(dirname "$0")"
promtool=${PROMTOOL_BIN:-promtool}
command -v "$promtool" >/dev/null 2>&1 || {
    echo "check.sh needs promtool (on Debian: apt install prometheus), or PROMTOOL_BIN=/path/to/promtool" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo key >"$work/key"
sed -e "s|/run/secrets/lorgnette_metrics_key|$work/key|" \
    -e "s|/etc/prometheus/alerts.yml|$PWD/alerts.yml|" prometheus.yml >"$work/prometheus.yml"
"$promtool" check config "$work/prometheus.yml"
"$promtool" check rules alerts.yml
"$promtool" test rules alerts_test.yml
