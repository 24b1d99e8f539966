#!/bin/sh
# Holds the image layer that the machines of one lab share, in a private mount namespace.
#
#   layer.sh DIRECTORY PACKAGES AGENT
#
# Unpacks the packages' layer and the agent's bundle (/opt/dmm-agent) on a tmpfs at DIRECTORY, says
# "ready PID", and stays until its standard input ends. Machines start from its mount namespace and
# keep the tmpfs alive.
set -eu
directory=$1 packages=$2 agent=$3
mount -n -t tmpfs -o mode=0755,size=1g layer "$directory"
tar --extract --xattrs --xattrs-include='*' --file "$packages" --directory "$directory"
mkdir -p "$directory/opt"
tar --extract --no-same-owner --file "$agent" --directory "$directory/opt"
echo "ready $$"
read -r _ || true
