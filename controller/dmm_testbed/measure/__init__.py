"""Measuring a run from the outside: captures, paths, signalling and the continuity of sessions."""
