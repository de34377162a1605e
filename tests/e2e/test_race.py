"""A thousand calls at once against one dollar: the invoice of a truthful provider is the judge."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.world import Told, World, chat, session, usd, world

from bursar.testing import Rates, Script

pytestmark = pytest.mark.slow

DOLLAR = 1_000_000_000
CALLS = 1000
OUTPUT_PICO = 10_000_000


def script(input_pico: int) -> Script:
    return Script(
        output_tokens=5000,
        first_byte_s=0.3,
        tokens_per_event=50,
        rates=Rates(input=input_pico, cache_read=input_pico, output=OUTPUT_PICO),
    )


async def storm(made: World, *, cap: int | None, is_stream: bool) -> list[Told]:
    async with session() as client:
        urls = [gateway.url for gateway in made.gateways]
        return await asyncio.gather(
            *(chat(client, urls[n % len(urls)], cap=cap, is_stream=is_stream) for n in range(CALLS))
        )


async def one_by_one(made: World, *, cap: int | None, is_stream: bool) -> int:
    """Go on alone until refused; give the last status."""
    async with session() as client:
        for _ in range(100):
            told = await chat(client, made.url, cap=cap, is_stream=is_stream)
            if told.status != 200:
                return told.status
    raise AssertionError("never refused")


@pytest.mark.parametrize("gateways", [1, 2])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
async def test_exactly_twenty_of_a_thousand_capped_calls_fit_one_dollar(
    tmp_path: Path, gateways: int, is_stream: bool
) -> None:
    with world(tmp_path, script(0), [usd(DOLLAR)], gateways) as made:
        told = await storm(made, cap=5000, is_stream=is_stream)
        assert Counter(one.status for one in told) == {200: 20, 402: CALLS - 20}
        assert {one.reason for one in told if one.status == 200} == {"stop"}
        assert made.provider.invoice()["requests"] == 20
        assert made.invoice_nano() == DOLLAR
        assert made.assert_sound().settled == DOLLAR


@pytest.mark.parametrize("gateways", [1, 2])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("input_usd", ["0", "2.5"])
async def test_calls_without_a_cap_never_pass_one_dollar_and_leave_less_than_one_usual_hold(
    tmp_path: Path, gateways: int, is_stream: bool, input_usd: str
) -> None:
    input_pico = 2_500_000 if input_usd != "0" else 0
    rates = (("input", input_usd), ("output", "10"))
    with world(tmp_path, script(input_pico), [usd(DOLLAR)], gateways, rates=rates) as made:
        told = await storm(made, cap=None, is_stream=is_stream)
        assert made.invoice_nano() <= DOLLAR
        assert {one.status for one in told} <= {200, 402}
        assert await one_by_one(made, cap=None, is_stream=is_stream) == 402
        balance = made.assert_sound()
        assert made.invoice_nano() == balance.settled <= DOLLAR
        # A usual answer is at most twice the true 5,000 tokens (answers that the cap ended count twice), and its
        # hold has the input beside it.
        usual_hold = (2 * 5000 * OUTPUT_PICO + 2_000 * input_pico) // 1000
        assert DOLLAR - balance.settled < usual_hold


async def test_a_capped_race_with_priced_input_never_passes_one_dollar(tmp_path: Path) -> None:
    rates = (("input", "2.5"), ("output", "10"))
    with world(tmp_path, script(2_500_000), [usd(DOLLAR)], 2, rates=rates) as made:
        await storm(made, cap=5000, is_stream=False)
        balance = made.assert_sound()
        assert made.invoice_nano() == balance.settled <= DOLLAR
        assert DOLLAR - balance.settled < (5000 * OUTPUT_PICO + 2_000 * 2_500_000) // 1000
