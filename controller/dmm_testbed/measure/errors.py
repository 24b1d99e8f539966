"""The one error of this package."""

from __future__ import annotations


class MeasuringError(Exception):
    """What was measured cannot be trusted, or measuring itself failed; says why and what to do."""
