"""Circuit breakers per run: each a stage, none of which knows another."""
