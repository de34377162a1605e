"""How much input is expected: cold, calibrated, strict; and a memory that stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bursar.metering.estimate import EstimateKey, InputEstimates

KEY = EstimateKey("t", "p", "w", "m", "s")
sizes = st.integers(0, 10_000_000)


@given(sizes)
def test_a_first_call_is_half_its_bytes_and_1500(text_bytes: int) -> None:
    assert InputEstimates().estimate(KEY, text_bytes) == -(-text_bytes // 2) + 1500


@given(sizes, st.integers(0, 10_000_000))
def test_the_same_call_again_is_covered_with_fifteen_percent_and_32(text_bytes: int, actual: int) -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, text_bytes, actual)
    estimate = estimates.estimate(KEY, text_bytes)
    base = -(-text_bytes // 4)
    # Downwards one call is believed by an eighth only: see the test of white space below.
    believed = max(actual, base - base // 8)
    assert believed * 115 <= (estimate - 32) * 100 < (believed + 2) * 115


@given(sizes, sizes, st.integers(0, 2_000))
def test_what_providers_add_unseen_is_kept_for_a_longer_call(first: int, second: int, overhead: int) -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, first, -(-first // 4) + overhead)
    assert estimates.estimate(KEY, second) >= -(-second // 4) + overhead


@given(sizes, st.integers(0, 10_000), st.integers(0, 10**6))
def test_an_estimate_is_never_negative(text_bytes: int, actual: int, later: int) -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, text_bytes, actual)
    assert estimates.estimate(KEY, later) >= 32


def test_the_last_difference_counts() -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, 400, 1000)
    estimates.learn(KEY, 400, 100)
    assert estimates.estimate(KEY, 400) == 115 + 32


@given(st.text(max_size=200), st.integers(0, 5000))
def test_the_ceiling_covers_a_token_for_every_byte(text: str, overhead: int) -> None:
    size = len(text.encode())
    assert InputEstimates.ceiling(size, overhead) >= size + overhead


def test_keys_do_not_teach_each_other() -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, 400, 10_000)
    for name in ("tenant", "provider", "wire", "model", "shape"):
        assert estimates.estimate(KEY._replace(**{name: "other"}), 400) == 1700


def test_the_least_recently_used_shape_goes_first() -> None:
    estimates = InputEstimates(keys_max=2)
    keys = [KEY._replace(shape=shape) for shape in "abc"]
    estimates.learn(keys[0], 400, 100)
    estimates.learn(keys[1], 400, 100)
    estimates.estimate(keys[0], 400)  # Used, so b is the oldest now.
    estimates.learn(keys[2], 400, 100)
    assert [estimates.estimate(key, 400) for key in keys] == [147, 1700, 147]


def test_what_one_who_asked_early_learns_is_for_all_and_names_that_taught_nothing_are_not_kept() -> None:
    estimates = InputEstimates(keys_max=2)
    early, late = estimates.shape(KEY), estimates.shape(KEY)
    for number in range(10):
        estimates.shape(KEY._replace(shape=f"s-{number}"))
    early.learn(400, 100)
    assert (early.is_new, estimates.shape(KEY).is_new) == (True, False)
    assert estimates.estimate(KEY, 400) == 147
    late.learn(400, 200)
    assert estimates.estimate(KEY, 400) == 262


def test_a_call_of_white_space_does_not_set_free_those_that_come_after_it() -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, 400_000, 20_000)
    assert estimates.estimate(KEY, 320_000) >= 80_000


def test_a_call_of_dense_text_does_not_lock_out_a_short_one() -> None:
    estimates = InputEstimates()
    estimates.learn(KEY, 300_000, 200_000)
    assert estimates.estimate(KEY, 20) < 3_000
    assert estimates.estimate(KEY, 300_000) >= 200_000
    assert estimates.estimate(KEY, 600_000) >= 400_000
