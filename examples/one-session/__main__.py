"""One session, in an existing work group."""

import pulumi

from athena_session_provider import Session

config = pulumi.Config()

session = Session(
    "etl",
    work_group=config.require("workgroup"),
    # Each DPU costs money for each hour that it runs.
    engine_configuration={"max_concurrent_dpus": 4},
    session_idle_timeout_in_minutes=30,
    tags={"team": "data"},
)

pulumi.export("session_id", session.session_id)
pulumi.export("state", session.state)
