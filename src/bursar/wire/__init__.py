"""One file per API shape: a request's body to a `Request`, the cap into it, usage and refusals out of it."""
