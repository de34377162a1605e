"""The domain: money, usage, windows, budgets, holds, and the metered call.

Standard library only. Nothing in here does I/O, reads a clock, draws a random number or logs.
"""
