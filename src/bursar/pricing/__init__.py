"""Prices and model facts: cards compiled to integers, the bound of a call, dated data. Imports core and errors only."""
