#!/bin/sh
# Checks nginx.conf with `nginx -t`, with a throw-away certificate and without the compose network.
# NGINX_BIN names the binary when it is not on the path.
set -eu
here=$(dirname "$0")
nginx=${NGINX_BIN:-nginx}
command -v "$nginx" >/dev/null 2>&1 || {
    echo "check.sh needs nginx (on Debian: apt install nginx-core), or NGINX_BIN=/path/to/nginx" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
sed -e "s|/run/secrets/tls_certificate|$work/certificate.pem|" \
    -e "s|/run/secrets/tls_key|$work/key.pem|" \
    -e "s|server api:8080|server 127.0.0.1:8080|" \
    -e "s|/tmp/nginx|$work/nginx|" "$here/nginx.conf" >"$work/nginx.conf"
"$nginx" -t -q -p "$work" -e stderr -c "$work/nginx.conf"
echo "nginx.conf is valid ($("$nginx" -v 2>&1))"
