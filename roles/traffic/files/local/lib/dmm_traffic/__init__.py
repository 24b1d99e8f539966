"""Traffic that notices everything: a verified TCP session and a numbered UDP stream, both ways.

`forward` is from the server (the correspondent) to the client (the mobile node), `reverse` from the
client. Only the standard library is used, so the folder runs on any host with Python 3.11 or later.
"""
