#!/bin/bash
# Installs Debian packages that are missing: install-packages.sh NAME...
set -euo pipefail

missing=()
for package; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "setup: as root, run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "setup: installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet=2 update
apt-get --quiet=2 --yes --no-install-recommends --option Dpkg::Use-Pty=0 install "${missing[@]}" || {
    echo "setup: apt-get cannot install ${missing[*]}; its last words are above" >&2
    exit 1
}
