"""Own the public names of bursar, and nothing else: no code, no side effect of importing."""

__version__ = "0.1.0"

__all__ = ["__version__"]
