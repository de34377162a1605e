"""The HTTP door: OpenAI- and Anthropic-compatible, raw ASGI on the path of a call."""
