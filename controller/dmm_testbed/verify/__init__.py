"""Comparing a running lab with its topology and profile, and its hosts with each other."""
