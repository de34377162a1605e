"""The tools of a responses request: which the client runs, which the provider runs and how often.

Owns what each kind of tool can cost beyond the answer. It must never let through a tool that runs at the provider
without a bound, nor refuse one that the client runs itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bursar.errors import BadRequest
from bursar.wire.fields import count_field, list_field

__all__ = ["SEARCHES_MAX", "check_tools", "searches_most", "without_unasked_search"]

SEARCHES_MAX = 100
_CLIENT_TOOLS = frozenset(
    {"function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "tool_search"}
)
"""Tools that the client runs (a computer is always its own), and tool search, which only loads what the body holds."""
_NAMESPACED = frozenset({"function", "custom"})


def check_tools(tools: list[dict[str, Any]], where: str = "tools") -> bool:
    """Refuse tools that the provider runs without a bound; True when a web search is among the rest."""
    has_search = False
    for at, tool in enumerate(tools):
        kind, place = _kind(tool), f"{where}[{at}]"
        if _is_search(kind):
            has_search = True
        elif kind == "namespace":
            _check_namespace(tool, place)
        elif kind == "shell":
            _check_shell(tool, place)
        elif kind not in _CLIENT_TOOLS:
            raise BadRequest(
                f"`{place}` of type {kind[:60]!r} runs at the provider and cannot be bounded",
                param=f"{place}.type",
            )
    return has_search


def _kind(tool: Mapping[str, Any]) -> str:
    kind = tool.get("type", "function")
    return kind if isinstance(kind, str) else repr(kind)


def _is_search(kind: str) -> bool:
    return kind.startswith("web_search")


def _check_namespace(tool: Mapping[str, Any], where: str) -> None:
    for at, inner in enumerate(list_field(tool, "tools")):
        if _kind(inner) not in _NAMESPACED:
            raise BadRequest(
                f"`{where}` may hold function and custom tools only: others cannot be bounded",
                param=f"{where}.tools[{at}].type",
            )


def _check_shell(tool: Mapping[str, Any], where: str) -> None:
    """Let a shell at the client pass; a container at the provider is billed by session."""
    environment = tool.get("environment")
    kind = environment.get("type") if isinstance(environment, Mapping) else environment
    if kind not in (None, "local"):
        raise BadRequest(
            f"`{where}` runs in a container of the provider and cannot be bounded: use a local environment",
            param=f"{where}.environment",
        )


def searches_most(body: Mapping[str, Any]) -> int:
    """Read how many web searches a body allows; `max_tool_calls` bounds all calls of the provider's tools."""
    calls = count_field(body, "max_tool_calls", most=SEARCHES_MAX)
    if calls is None:
        raise BadRequest(
            "a web search needs `max_tool_calls`, so that its cost is bounded "
            '(in Codex: web_search = "disabled" leaves it out)',
            param="max_tool_calls",
        )
    return calls


def without_unasked_search(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leave out the web search that Codex adds to its own tools by default, and tell so.

    It is known by `external_web_access`, which Codex always sends, and by no `max_tool_calls`, which it never sends. A
    search that is the only tool, or that `tool_choice` asks for, is what the person wants: it is not left out.
    """
    if body.get("max_tool_calls") is not None or body.get("tool_choice") not in (None, "auto"):
        return body, ()
    tools = list_field(body, "tools")
    kept = [tool for tool in tools if not (_is_search(_kind(tool)) and "external_web_access" in tool)]
    has_own = any(not _is_search(_kind(tool)) for tool in kept)
    if len(kept) == len(tools) or not has_own:
        return body, ()
    return {**body, "tools": kept}, ("tools.web_search",)
