"""What a restart must not forget: estimates and usual answers, learnt again from the ledger's latest calls.

Owns the reading of settled calls as lessons. Without it the first call after a restart would be estimated cold, and
refused although it fits.
"""

from __future__ import annotations

from collections.abc import Iterable

from bursar.core.hold import State
from bursar.core.labels import Labels
from bursar.core.ledger import HoldRow
from bursar.metering.estimate import EstimateKey, InputEstimates
from bursar.metering.usual import UsualAnswers, UsualKey

__all__ = ["CALLS_MOST", "learn_from"]

CALLS_MOST = 2000
"""How many of the latest calls are read at a start."""


def learn_from(rows: Iterable[HoldRow], estimates: InputEstimates, usuals: UsualAnswers) -> None:
    """Learn from calls, the oldest first; estimated and corrected ones teach nothing."""
    for row in rows:
        if row.state is not State.SETTLED or row.flags & {"estimated", "corrected", "unpriced"}:
            continue
        labels, note = Labels(row.labels), row.note
        wire, provider, model = labels["wire"], labels["provider"], labels["model"]
        if note.answered_by:
            provider, _, model = note.answered_by.partition("/")
        text_bytes = note.system_bytes + note.tools_bytes + note.history_bytes + note.user_bytes
        key = EstimateKey(row.tenant, provider, wire, model, note.shape_key)
        estimates.learn(key, text_bytes, max(0, row.settled.input_tokens - note.earlier_tokens))
        usual = UsualKey(row.tenant, labels["agent"], model, wire)
        if note.answer_tokens:
            usuals.learn(usual, note.answer_tokens)
