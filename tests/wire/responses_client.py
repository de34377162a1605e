"""Run under any generation of the openai SDK: read streamed bodies and tell what the SDK makes of each, as JSON.

Standard input: a JSON object of name to body. It imports nothing of bursar.
"""

import json
import sys
from typing import Any

import openai

httpx: Any = __import__("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
TOOLS: Any = [
    {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "patch"},
]


def client(body: str) -> openai.OpenAI:
    headers = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body.encode()))
    return openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=httpx.Client(transport=transport))


def iterate(body: str) -> dict[str, Any]:
    """Read the raw events, and check the last response against the SDK's own model."""
    with client(body) as sdk:
        events: list[Any] = list(sdk.responses.create(model="m", input="hi", stream=True))
    last = events[-1].response
    type(last).model_validate(last.to_dict())
    return {
        "kinds": [event.type for event in events],
        "numbers": [event.sequence_number for event in events],
        "last": last.to_dict(),
    }


def help_along(body: str) -> dict[str, Any]:
    """Use the stream helper, which checks that events belong together."""
    with client(body) as sdk, sdk.responses.stream(model="m", input="hi", tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        try:
            stream.get_final_response()
            final = "completed"
        except RuntimeError as error:
            final = str(error)
    return {"kinds": kinds, "final": final}


bodies = json.load(sys.stdin)
told = {name: {"raw": iterate(body), "helped": help_along(body)} for name, body in bodies.items()}
print(json.dumps({"version": openai.__version__, "told": told}))
