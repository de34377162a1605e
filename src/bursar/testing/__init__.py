"""Real fakes that ship with bursar: a clock that stands still and a provider that bills truthfully.

Used by the demo and by the tests, ours and yours; needs the extra `gateway`. Nothing else in the package may import it.
"""

from bursar.testing.clock import START_NS, FixedClock
from bursar.testing.provider import ProviderProcess, Rates, Script, ScriptedProvider, ToolCall

__all__ = ["START_NS", "FixedClock", "ProviderProcess", "Rates", "Script", "ScriptedProvider", "ToolCall"]
