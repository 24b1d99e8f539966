#!/bin/sh
# Runs inside a machine without links and tries each kernel feature the testbed needs.
# Prints the names of those that are missing, one a line.
try() {
    feature=$1
    shift
    "$@" >/dev/null 2>&1 || echo "$feature"
}
address=2001:db8::1

ip link set lo up
try veth ip link add veth0 type veth peer name veth1
try bridge ip link add bridge0 type bridge mcast_snooping 0
ip link set bridge0 up 2>/dev/null
try seg6_enabled test -e /proc/sys/net/ipv6/conf/all/seg6_enabled
try seg6_encap ip -6 route add 2001:db8:1::/48 encap seg6 mode encap.red segs "$address" dev bridge0
try seg6_end_dt6 ip -6 route add "$address" encap seg6local action End.DT6 table 254 dev bridge0
try policy_rules ip -6 rule add pref 5 to "$address" ipproto 41 lookup 605
try nftables nft add table ip6 probe
nft add chain ip6 probe input '{ type filter hook prerouting priority -150; }' 2>/dev/null
nft add set ip6 probe seen '{ type ipv6_addr; flags dynamic,timeout; timeout 1s; size 16; }' 2>/dev/null
try nft_set nft add rule ip6 probe input update @seen '{ ip6 saddr }'
try nft_fib nft add rule ip6 probe input fib saddr . iif oif missing drop
try nft_log nft add rule ip6 probe input log group 5 snaplen 128
try nft_limit nft add rule ip6 probe input limit rate 10/second accept
