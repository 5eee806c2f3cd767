#!/usr/bin/env bash
# The programs that make test-long holds Podium against and pip does not bring: a browser, and Prometheus' own checker.
# Installs Debian's packages when root; otherwise says the one line to run, and fails: a suite that cannot run is no success.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v promtool >/dev/null || missing+=(prometheus)
[ "${#missing[@]}" -eq 0 ] && exit 0

install="apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "make test-long needs ${missing[*]}; run: sudo sh -c '$install'" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# the service that the package brings is of no use here, and must not take a port
[ -d /usr/sbin ] && [ ! -e /usr/sbin/policy-rc.d ] && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d &&
  chmod +x /usr/sbin/policy-rc.d && trap 'rm -f /usr/sbin/policy-rc.d' EXIT
sh -c "$install" >/dev/null
