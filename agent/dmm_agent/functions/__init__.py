"""The logical functions of mobility management (draft, section 3) as state machines without I/O.

A function takes an event and the time and returns effects. It opens no socket, reads no clock and
knows nothing of Linux; `dmm_agent.runtime` and `dmm_agent.simulator` are the two worlds it runs in.
"""
