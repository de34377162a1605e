"""The ledger as a child would write it: a list of calls; every figure is summed anew each time it is asked for.

Owns nothing of `core/`: no admission, no hold table, no amounts. It is what the stores are compared with.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 2**53
NO_LIMIT = 2**80


class Place(NamedTuple):
    """One balance."""

    tenant: str
    identity: str
    scope: str
    starts_ns: int
    unit: str


@dataclass
class Want:
    """A line as the model sees it."""

    place: Place
    limit: int
    values_max: int


@dataclass
class Call:
    fixed: int
    rate: int
    input: int
    choices: int
    at_ns: int
    tenant: str
    process: str
    labels: Mapping[str, str]
    asked: list[Want]
    places: list[Place]
    tokens: int
    attempts: int = 1
    state: str = "open"
    truth: dict[str, int] = field(default_factory=dict)

    def takes(self, unit: str, tokens: int | None = None, attempts: int | None = None) -> int:
        n = self.tokens if tokens is None else tokens
        k = self.attempts if attempts is None else attempts
        pico = k * self.fixed + n * self.rate
        return {
            "usd": pico // 1000 + (pico % 1000 > 0),
            "tokens": k * self.input + n * self.choices,
            "input_tokens": k * self.input,
            "output_tokens": n * self.choices,
            "requests": k,
        }[unit]


@dataclass
class Model:
    calls: dict[str, Call] = field(default_factory=dict)
    scopes: dict[tuple[str, str, int, str], set[str]] = field(default_factory=dict)
    limits: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def sums(self, place: Place, without: str = "") -> tuple[int, int, int]:
        settled = presumed = held = 0
        for id_, call in self.calls.items():
            if id_ == without or place not in call.places:
                continue
            if call.state == "settled":
                settled += call.truth[place.unit]
            elif call.state == "presumed":
                presumed += call.takes(place.unit)
            elif call.state == "open":
                held += call.takes(place.unit)
        return settled, presumed, held

    def all_places(self) -> set[Place]:
        return {
            Place(tenant, identity, scope, starts_ns, unit)
            for (tenant, identity, starts_ns, unit), scopes in self.scopes.items()
            for scope in scopes
        }

    def where(self, want: Want) -> Place:
        place = want.place
        opened = self.scopes.get((place.tenant, place.identity, place.starts_ns, place.unit), set())
        is_full = want.values_max and ("(other)" in opened or len(opened) >= want.values_max)
        return place._replace(scope="(other)") if is_full and place.scope not in opened else place

    def open(self, want: Want) -> Place:
        place = self.where(want)
        self.scopes.setdefault((place.tenant, place.identity, place.starts_ns, place.unit), set()).add(place.scope)
        return place

    def largest(self, call: Call, rooms: Iterable[tuple[str, int]], attempts: int) -> int:
        """Find the largest cap that takes no more than the room there is in each unit, by trying."""
        rooms = list(rooms)

        def is_too_much(tokens: int) -> bool:
            return any(call.takes(unit, tokens, attempts) > room for unit, room in rooms)

        return bisect_left(range(MOST + 1), True, key=is_too_much) - 1

    def admit(self, call: Call, at_least: int, at_most: int, middle: int, share: int) -> str:
        """Hold by the rules in the words of the design; `granted`, `contended` or `exhausted`."""
        places = [self.where(want) for want in call.asked]
        sums = [self.sums(place) for place in places]
        left = [want.limit - settled - presumed for want, (settled, presumed, _) in zip(call.asked, sums, strict=True)]
        free = [rest - held for rest, (_, _, held) in zip(left, sums, strict=True)]
        units = [place.unit for place in places]
        if any(call.takes(unit, at_least) > rest for unit, rest in zip(units, left, strict=True)):
            return "exhausted"
        if any(call.takes(unit, at_least) > room for unit, room in zip(units, free, strict=True)):
            return "contended"
        room = self.largest(call, zip(units, free, strict=True), 1)
        quarter = self.largest(call, ((unit, rest // share) for unit, rest in zip(units, free, strict=True)), 1)
        if at_most <= room and (share == 1 or at_most <= quarter):
            call.tokens = at_most
        else:
            call.tokens = at_least if share == 1 else max(at_least, min(middle, quarter))
        call.places = [self.open(want) for want in call.asked]
        return "granted"

    def extend(self, id_: str, at_least: int, at_most: int, attempts: int) -> bool:
        call = self.calls[id_]
        if call.state != "open":
            return False
        attempts = max(attempts, call.attempts)
        if at_least <= call.tokens and attempts == call.attempts:
            return True
        at_least = max(at_least, call.tokens)
        limits = [want.limit for want in call.asked]
        limits += [self.limits.get((p.tenant, p.identity, p.unit), NO_LIMIT) for p in call.places[len(limits) :]]
        rooms = [
            (place.unit, limit - sum(self.sums(place, without=id_)))
            for place, limit in zip(call.places, limits, strict=True)
        ]
        room = self.largest(call, rooms, attempts)
        if room < at_least:
            return False
        call.tokens = min(room, max(at_least, at_most))
        call.attempts = attempts
        return True

    def close(self, id_: str, verb: str, truth: dict[str, int] | None) -> str:
        """Close by the design's words; `changed`, `same` or `conflict`."""
        call = self.calls[id_]
        if verb == "correct" and call.state == "open":
            return "conflict"
        if verb == "release" and call.state == "settled":
            return "conflict"
        if verb == "settle" and call.state == "settled":
            return "same" if truth == call.truth else "conflict"
        if verb == "presume" and call.state != "open":
            return "same"
        if verb == "release" and call.state == "released":
            return "same"
        if verb in ("settle", "correct"):
            assert truth is not None
            call.state, call.truth = "settled", truth
        elif verb == "presume":
            call.state = "presumed"
        elif call.state == "presumed":
            call.state, call.truth = "settled", dict.fromkeys(("usd", "tokens", "input_tokens", "output_tokens"), 0)
            call.truth["requests"] = 0
        else:
            call.state = "released"
        return "changed"
