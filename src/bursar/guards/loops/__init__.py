"""Loops: an agent that does the same again and again, found from what its requests show."""
