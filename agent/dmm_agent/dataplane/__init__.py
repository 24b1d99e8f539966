"""Forwarding on the Linux kernel: routes that encapsulate, policy rules, nftables, NFLOG.

`docs/dataplane.md` describes the tables and rules and why they are as they are.
"""
