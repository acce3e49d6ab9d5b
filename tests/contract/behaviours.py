"""The behaviours of the emulated service that tests go through: each variant, and combinations."""

from __future__ import annotations

import random
from typing import Any

from contract.account import SPARK_3, SPARK_35

from athena_session_provider.emulator import VARIANTS

WORK_GROUPS = {SPARK_3: "spark", SPARK_35: "spark-35"}
"""The emulator's own work groups, by engine."""
SEED = 12
DEFAULTS: dict[str, Any] = {name: values[0] for name, values in VARIANTS.items()}


def combinations(count: int) -> list[dict[str, Any]]:
    """Draw values for all variants at the same time; the same ones in each run."""
    draw = random.Random(SEED)  # noqa: S311 - nothing secret
    return [{name: draw.choice(values) for name, values in VARIANTS.items()} for _ in range(count)]


_ONE_AT_A_TIME = [{name: value} for name, values in VARIANTS.items() for value in values[1:]]
_COMBINATIONS = combinations(20)

CASES: list[dict[str, Any]] = [{}, *_ONE_AT_A_TIME, *_COMBINATIONS]
"""The defaults, each other value of each variant, and 20 combinations of all of them."""
NAMES = [
    "defaults",
    *(f"{name}={value}" for case in _ONE_AT_A_TIME for name, value in case.items()),
    *(f"combination-{number}" for number in range(len(_COMBINATIONS))),
]
