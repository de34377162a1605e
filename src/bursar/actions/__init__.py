"""What a person or a program may do and ask: command line, admin API, dashboard and MCP call the same functions.

They speak to a ledger through small Protocols, take the instant as an argument, and format nothing.
"""
