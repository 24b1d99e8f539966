"""Playing a scenario on running machines: who moves when, what is expected, what was measured."""
