"""The wire of OpenAI's Responses: requests in, answers, events and errors out.

Owns that JSON, as the real API writes it, and the numbers of the events. It must never decide what is generated or
billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bursar.testing.provider.answer import Answer, Ask, text_bytes
from bursar.testing.provider.openai_common import OpenAICommon, count_of
from bursar.testing.provider.responses_object import (
    item_id,
    message_part,
    reasoning_item,
    response_object,
    usage_object,
    visible_item,
)
from bursar.testing.provider.script import Script
from bursar.testing.provider.shape import Problem, compact, padded, required

__all__ = ["CompactShape", "ResponsesShape"]

CAP_NAME = "max_output_tokens"
CAP_LEAST = 16


class ResponsesShape(OpenAICommon):
    """Speak OpenAI's Responses."""

    wire: Literal["responses"] = "responses"

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as OpenAI would refuse it."""
        model = required(body, "model", str, _missing("model", "Missing required parameter: 'model'."))
        given, previous = body.get("input"), body.get("previous_response_id")
        if given is None and previous is None:
            text = """One of "input" or "previous_response_id" or 'prompt' or 'conversation_id' must be provided."""
            raise _missing("input", text)
        _check_input(given)
        _check_previous(previous)
        is_stored = body.get("store") is not False
        is_background, is_stream = body.get("background") is True, body.get("stream") is True
        if is_background and not is_stored:
            raise Problem(400, "Background mode requires 'store' to be true.", param="background")
        if is_background and is_stream:
            raise Problem(400, "The scripted provider does not stream in the background.", param="stream")
        return Ask(
            wire=self.wire,
            model=model,
            is_stream=is_stream,
            cap_tokens=None if body.get(CAP_NAME) is None else count_of(body, CAP_NAME, least=CAP_LEAST),
            cap_name=CAP_NAME,
            choices=1,
            wants_usage=True,
            prompt_bytes=text_bytes(given, body.get("instructions"), body.get("tools")),
            previous_id=previous or "",
            is_stored=is_stored,
            is_background=is_background,
            body=body,
        )

    def check_cap(self, ask: Ask, script: Script) -> None:
        """Raise Problem when the request's cap is above the model's maximum."""
        if ask.cap_tokens is not None and script.max_output_tokens is not None:
            count_of({CAP_NAME: ask.cap_tokens}, CAP_NAME, most=script.max_output_tokens)

    def answer_id(self, unique: str) -> str:
        """Return an answer's id."""
        return f"resp_{unique}"

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        return compact(response_object(answer, _last_status(answer)))

    def opening(self, answer: Answer) -> bytes:
        """Return the events that say the response exists and runs, and the reasoning that has begun."""
        response = response_object(answer, "in_progress")
        events = _event("response.created", 0, response=response)
        events += _event("response.in_progress", 1, response=response)
        if answer.script.reasoning_tokens > 0:
            item = reasoning_item(answer)
            events += _event("response.output_item.added", 2, output_index=0, item=item)
        return events

    def content(self, answer: Answer, start: int, end: int) -> bytes:
        """Return the delta events [start, end); the first of all follow those that begin the item."""
        is_call = answer.script.tool_call is not None
        kind = "response.function_call_arguments.delta" if is_call else "response.output_text.delta"
        part = b"" if is_call else b'"content_index":0,'
        before = f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":'.encode()
        place = f',"item_id":"{_visible_id(answer)}","output_index":{_visible_index(answer)},'.encode()
        middle = place + part + b'"delta":'
        after = b"}\n\n" if is_call else b',"logprobs":[]}\n\n'
        first = _first_delta(answer)
        deltas = b"".join(
            before + str(first + index + _extra(answer, index)).encode() + middle + answer.events[index] + after
            for index in range(start, end)
        )
        return (_begin_item(answer) if start == 0 else b"") + deltas

    def closing(self, answer: Answer) -> bytes:
        """Return the events that end the item and the response."""
        events, number = b"", _after_deltas(answer)
        if answer.visible_tokens > 0:
            for kind, fields in _end_item(answer):
                events += _event(kind, number, **fields)
                number += 1
        elif answer.script.reasoning_tokens > 0:
            events += _event("response.output_item.done", number, output_index=0, item=reasoning_item(answer))
            number += 1
        status = _last_status(answer)
        return events + _event(f"response.{status}", number, response=response_object(answer, status))

    def usage(self, answer: Answer, tokens: int) -> bytes:
        """Return an event that reports usage so far and ends nothing."""
        number = _first_delta(answer) + _half(answer)
        response = {**response_object(answer, "in_progress"), "usage": usage_object(answer, tokens)}
        return _event("response.in_progress", number, response=response)

    def broken(self, answer: Answer) -> bytes:
        """Return an event that stops in the middle of its JSON."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"\n\n'

    def long_line(self, size_bytes: int) -> bytes:
        """Return an event that says nothing, as this API sends them in long waits, with a line of `size_bytes`."""
        return b"event: keepalive\n" + padded(b'data: {"type":"keepalive","padding":"', b'"}', size_bytes) + b"\n\n"

    def error_event(self, answer: Answer, request_id: str) -> bytes:
        """Return the error that ends a stream: flat, as it is documented, and nested, as SDKs read it."""
        detail = self.error_detail(self.scripted_error(500))
        flat = {name: detail[name] for name in ("code", "message", "param")}
        return _event("error", _after_deltas(answer), **flat, error=detail)


class CompactShape(ResponsesShape):
    """Speak the one path of the Responses API that answers with a conversation made shorter; it knows no cap."""

    def ask(self, body: Mapping[str, Any]) -> Ask:
        """Parse a request. Raises Problem as OpenAI would refuse it."""
        for name in (CAP_NAME, "stream", "background"):
            if name in body:
                raise Problem(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        return super().ask(body)

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a whole answer."""
        told = response_object(answer, "completed")
        item = {"id": item_id(answer, "cmp"), "type": "compaction", "encrypted_content": "c2NyaXB0ZWQ="}
        names = ("id", "created_at", "usage")
        return compact({**{name: told[name] for name in names}, "object": "response.compaction", "output": [item]})


def _missing(name: str, text: str) -> Problem:
    return Problem(400, text, param=name, code="missing_required_parameter")


def _check_input(given: object) -> None:
    if given is None or isinstance(given, str):
        return
    if not isinstance(given, list):
        text = "Invalid type for 'input': expected one of a list of input items or a string."
        raise Problem(400, text, param="input", code="invalid_type")
    for at, item in enumerate(given):
        if not isinstance(item, dict):
            text = f"Invalid type for 'input[{at}]': expected an input item."
            raise Problem(400, text, param=f"input[{at}]", code="invalid_type")


def _check_previous(previous: object) -> None:
    name = "previous_response_id"
    if previous is None:
        return
    if not isinstance(previous, str):
        raise Problem(400, f"Invalid type for '{name}': expected a string.", param=name, code="invalid_type")
    if not previous.startswith("resp"):
        text = f"Invalid '{name}': '{previous}'. Expected an ID that begins with 'resp'."
        raise Problem(400, text, param=name, code="invalid_value")


def _last_status(answer: Answer) -> Literal["completed", "incomplete"]:
    return "incomplete" if answer.is_length else "completed"


def _visible_id(answer: Answer) -> str:
    return item_id(answer, "msg_" if answer.script.tool_call is None else "fc_")


def _visible_index(answer: Answer) -> int:
    return 1 if answer.script.reasoning_tokens > 0 else 0


def _first_delta(answer: Answer) -> int:
    """Return the number of the first delta: after the opening and the events that begin the item."""
    has_reasoning, is_text = answer.script.reasoning_tokens > 0, answer.script.tool_call is None
    return 2 + 2 * has_reasoning + 1 + is_text


def _half(answer: Answer) -> int:
    return (len(answer.events) + 1) // 2


def _extra(answer: Answer, index: int) -> int:
    """Return how many events beyond the deltas come before delta `index`."""
    return 1 if answer.script.fault == "usage_twice" and index >= _half(answer) else 0


def _after_deltas(answer: Answer) -> int:
    if answer.visible_tokens == 0:
        return 2 + (answer.script.reasoning_tokens > 0)
    count = len(answer.events)
    return _first_delta(answer) + count + _extra(answer, count)


def _begin_item(answer: Answer) -> bytes:
    """Return the events that end the reasoning and begin the visible item."""
    index, number, events = _visible_index(answer), 2, b""
    if index > 0:
        events = _event("response.output_item.done", 3, output_index=0, item=reasoning_item(answer))
        number = 4
    item = visible_item(answer, None, "in_progress")
    events += _event("response.output_item.added", number, output_index=index, item=item)
    if answer.script.tool_call is None:
        events += _event("response.content_part.added", number + 1, **_place(answer), part=message_part(""))
    return events


def _end_item(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """Return the kinds and fields of the events that end the visible item."""
    place = _place(answer)
    item = visible_item(answer, answer.text, _last_status(answer))
    item_done = ("response.output_item.done", {"output_index": place["output_index"], "item": item})
    if answer.script.tool_call is not None:
        return [("response.function_call_arguments.done", {**place, "arguments": answer.text}), item_done]
    part = message_part(answer.text)
    return [
        ("response.output_text.done", {**place, "text": answer.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
        item_done,
    ]


def _place(answer: Answer) -> dict[str, Any]:
    place: dict[str, Any] = {"item_id": _visible_id(answer), "output_index": _visible_index(answer)}
    return place if answer.script.tool_call is not None else {**place, "content_index": 0}


def _event(kind: str, number: int, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + compact({"type": kind, "sequence_number": number, **fields}) + b"\n\n"
