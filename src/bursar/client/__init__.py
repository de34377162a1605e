"""The library: budgets inside a Python process. Public names are given by `bursar` itself."""
