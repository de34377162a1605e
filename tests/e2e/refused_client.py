# mypy: ignore-errors
"""Run under any SDK generation: make one call that is refused, and tell as JSON what the SDK's user sees.

Arguments: openai|anthropic, whole|stream, base URL. It imports nothing of bursar, and is written for two generations of
each SDK at once, which no type checker can see.
"""

import json
import sys

sdk, kind, url = sys.argv[1:]
message = [{"role": "user", "content": "hello"}]
is_stream = kind == "stream"
seen = {}
if sdk == "openai":
    import openai

    seen["version"] = openai.__version__
    client = openai.OpenAI(base_url=url + "/v1", api_key="none")
    try:
        client.chat.completions.create(model="m", messages=message, stream=is_stream)
    except openai.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        seen |= {
            "type": type(error).__name__,
            "status": error.status_code,
            "text": str(error),
            "code": body.get("code"),
        }
else:
    import anthropic

    seen["version"] = anthropic.__version__
    client = anthropic.Anthropic(base_url=url, api_key="none")
    try:
        client.messages.create(model="m", messages=message, max_tokens=100, stream=is_stream)
    except anthropic.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error", {})
        seen |= {
            "type": type(error).__name__,
            "status": error.status_code,
            "text": str(error),
            "code": inner.get("type"),
        }
print(json.dumps(seen))
