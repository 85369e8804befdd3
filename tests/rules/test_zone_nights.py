"""Waits and windows about every change of clocks there is, each time with other windows; the seed is said."""

import os
import random

import pytest

from tests.rules.zone_nights import check_days, check_opening, check_step, nights, zones

_CHECKS = (check_opening, check_days, check_step)
# 0 in a normal run: one check about each change, zones of equal rules once. `make faults` looks at all of them.
_ROUNDS = int(os.environ.get("RELANCE_FAULT_RUNS", "1")) // 5


@pytest.mark.timeout(120 + 300 * _ROUNDS)
def test_about_every_change_of_clocks_a_step_is_due_once_in_its_window_and_never_early() -> None:
    """`RELANCE_TIME_SEED` repeats a run."""
    seed = int(os.environ.get("RELANCE_TIME_SEED") or random.randrange(10**6))
    dice = random.Random(seed)
    seen = set()
    for zone in zones():
        changes = list(nights(zone))
        alike = tuple((night.at, night.by, night.at.astimezone(zone).utcoffset()) for night in changes)
        if alike in seen and not _ROUNDS:
            continue
        seen.add(alike)
        for night in changes:
            for check in _CHECKS * _ROUNDS or (dice.choice(_CHECKS),):
                try:
                    check(dice, night)
                except AssertionError as wrong:
                    raise AssertionError(f"{zone.key} at {night.at}, RELANCE_TIME_SEED={seed}: {wrong}") from wrong
    assert len(seen) > 30, "the zones have rules"
