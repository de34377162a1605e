"""From settings to working parts: the only room that names concrete classes. It never names a door.

`ledger` and `prices` need only the core install, so that reading a ledger needs no HTTP client; `engine` needs
the rest.
"""
