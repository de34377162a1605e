"""A provider that answers as scripted over real HTTP, in the shapes of OpenAI and Anthropic, and bills truthfully.

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
