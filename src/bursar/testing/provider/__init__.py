"""A provider that answers as scripted over real HTTP, as OpenAI, Anthropic, Gemini and Bedrock do. It bills truthfully.

It speaks OpenAI's chat, Responses, embeddings and legacy completions, Anthropic's messages, Gemini's generated
content, and Bedrock's Converse and InvokeModel (of Anthropic's models); OpenAI's base URL ends in `/v1`, the
others' is the root.

Its invoice is the judge of money tests: what it says was spent was spent, whatever the caller saw, stored or lost.
"""

from bursar.testing.provider.client import CallLine, InvoiceReport, OpenLine, ProviderClient, RequestRecord
from bursar.testing.provider.invoice import Units, cost_nano
from bursar.testing.provider.script import FAULTS, Fault, Rates, Script, ToolCall
from bursar.testing.provider.server import ProviderProcess, ScriptedProvider

__all__ = [
    "FAULTS",
    "CallLine",
    "Fault",
    "InvoiceReport",
    "OpenLine",
    "ProviderClient",
    "ProviderProcess",
    "Rates",
    "RequestRecord",
    "Script",
    "ScriptedProvider",
    "ToolCall",
    "Units",
    "cost_nano",
]
