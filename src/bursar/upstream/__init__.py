"""Providers: which one a call goes to, and how it is spoken to."""
