#!/bin/sh
# The conformance suite of galleries, also on a Milvus server that is started for it and stopped.
# Needs Linux on x86-64; the server is PyPI's milvus, in an environment of its own.
# setsid gives the server a process group: its starter does not stop it by itself.
# usage: tests/milvus_server.sh PYTHON
set -eu
python=$1
home=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill -- "-$server"; wait "$server" || true; fi; rm -rf "$home"' EXIT
"$python" -m venv "$home/venv"
"$home/venv/bin/python" -m pip install --disable-pip-version-check --quiet milvus==2.3.5
setsid "$home/venv/bin/milvus-server" --data "$home/data" >"$home/log" 2>&1 &
server=$!
export LORGNETTE_TEST_MILVUS=http://127.0.0.1:19530
tries=0
until curl --silent --fail http://127.0.0.1:9091/healthz >/dev/null; do
	tries=$((tries + 1))
	if [ "$tries" -gt 120 ] || ! kill -0 "$server" 2>/dev/null; then
		echo "the Milvus server did not start:" >&2
		cat "$home/log" >&2
		exit 1
	fi
	sleep 1
done
"$python" -m pytest tests/service/test_gallery_conformance.py
