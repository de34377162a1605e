"""What is learnt again at a start is what was learnt while it ran."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.house import usd
from tests.pipeline.rig import rig

from bursar.metering.estimate import InputEstimates
from bursar.metering.usual import UsualAnswers, UsualKey
from bursar.metering.warm import learn_from
from bursar.testing import Script

KEY = UsualKey("default", "(none)", "m", "openai.chat")


async def usual_after(path: Path, script: Script, **fields: object) -> tuple[int, int]:
    """Give U as one call has taught it while running, and as its row in the ledger teaches it."""
    async with rig(path, [usd(10**12)], is_memory=True, scripts={"m": script}) as made:
        await made.run(made.call(**fields))  # type: ignore[arg-type]
        again = UsualAnswers()
        learn_from(made.holds(), InputEstimates(), again)
        return made.engine._stage.quoter.usuals.usual(KEY), again.usual(KEY)


async def test_an_ordinary_answer_teaches_the_same(tmp_path: Path) -> None:
    assert await usual_after(tmp_path, Script(output_tokens=2000)) == (2000, 2000)


async def test_several_choices_teach_the_same(tmp_path: Path) -> None:
    running, started = await usual_after(tmp_path, Script(output_tokens=2000), n=3, max_tokens=4000)
    assert running == started == 2000


async def test_an_answer_that_our_cap_ended_teaches_the_same(tmp_path: Path) -> None:
    running, started = await usual_after(tmp_path, Script(output_tokens=200_000))
    assert running == started


async def test_an_answer_that_our_own_cap_ended_counts_twice_its_length(tmp_path: Path) -> None:
    running, _ = await usual_after(tmp_path, Script(output_tokens=200_000))
    assert running == 2 * 128_000
