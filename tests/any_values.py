"""Strategies for whatever a program can give as the inputs of a session."""

from __future__ import annotations

import hypothesis.strategies as st
from pulumi.runtime.rpc import UNKNOWN

from athena_session_provider.inputs import IDENTITY, OUTPUTS, OWN_ARGUMENTS, TIMEOUTS
from athena_session_provider.service.request import start_session_members
from athena_session_provider.service.settings import ARGUMENTS

NAMES = (*start_session_members(), *OWN_ARGUMENTS, *OUTPUTS, IDENTITY, TIMEOUTS, "region")
MEMBERS = (
    *ARGUMENTS,
    "max_concurrent_dpus",
    "MaxConcurrentDpus",
    "coordinator_dpu_size",
    "spark_properties",
    "additional_configs",
    "classifications",
    "properties",
    "name",
    "create",
    "delete",
    "urn",
    "owner",
    "NotebookId",
    "access_key",
    "roleArn",
    "tags",
)

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(("", "\x00", "${x}", "🚀", "\ud800", "1h30m", "{", "[{}]", UNKNOWN, "spark"))
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
inputs = st.dictionaries(
    st.sampled_from(NAMES) | st.text(min_size=1, max_size=8), values, max_size=8
)
