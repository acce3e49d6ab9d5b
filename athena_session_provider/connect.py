"""Deprecated: import from ``athena_session_provider``. This path goes with version 0.3."""

from __future__ import annotations

import warnings
from typing import Any

import athena_session_provider


def __getattr__(name: str) -> Any:
    if name not in athena_session_provider.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"import {name} from athena_session_provider, not from {__name__}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(athena_session_provider, name)
