"""Where the ledger lives. Every store passes the same conformance suite; none is special."""
