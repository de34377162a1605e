"""Several attempts share one hold, and each that may have been billed is covered like the first."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.house import usd
from tests.pipeline.rig import rig

from bursar.core.hold import State
from bursar.core.provider import Deadlines
from bursar.testing import Rates, Script

RATES = Rates(input=0, cache_read=0, output=10_000_000)
SILENT = Script(output_tokens=1000, fault="slow", fault_after_s=60, fault_times=2, rates=RATES)


async def test_a_third_attempt_is_covered_like_the_first(tmp_path: Path) -> None:
    short = Deadlines(first_byte_s=0.3)
    async with rig(tmp_path, [usd(10**12)], is_memory=True, scripts={"m": SILENT}, attempts=3, deadlines=short) as made:
        reply, _ = await made.run(made.call(max_tokens=1000))
        assert reply.status == 200
        (hold,) = made.holds()
        assert hold.state is State.SETTLED
        assert "attempts" in hold.flags
        assert hold.settled.requests == 3
        assert hold.settled.output_tokens == 3 * 1000
        assert hold.note.cap == 1000
        await made.assert_sound()
