#!/bin/bash
# Installs on this computer what the testbed needs and what is missing: some Debian packages that
# start no service, and a virtual environment with pinned Python packages. Again does nothing.
#
# What the machines need beyond that (a routing daemon, say) goes into their own image, not here.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(
    iproute2          # ip
    iputils-ping      # ping, for the tests in kernel namespaces; likewise the next three
    nftables          # nft
    procps            # sysctl
    tcpdump
    python3-venv      # the virtual environment
    tshark            # dissects captures
    strace            # kills agents at every write, in a test
    util-linux        # unshare, nsenter
)
MACHINES_PYTHON=/usr/bin/python3 # the agent runs on it, so its dependencies are built for it

say() {
    printf 'setup: %s\n' "$*"
}

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

scripts/install-packages.sh "${PACKAGES[@]}"

if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    say "making the virtual environment .venv"
    "$MACHINES_PYTHON" -m venv --clear .venv
fi
say "installing pinned Python packages into .venv; the first time takes a minute"
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt ||
    fail "pip cannot install requirements.txt; is the Python package index within reach?"
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --editable agent --editable .
touch .venv/.installed
