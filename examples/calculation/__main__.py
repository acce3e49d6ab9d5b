"""A session, and a calculation that runs in it as soon as it is ready."""

import pulumi
from calculation import Calculation

from athena_session_provider import Session

config = pulumi.Config()

CODE = """
print(sum(range(10)))
"""

session = Session(
    "session",
    work_group=config.require("workgroup"),
    engine_configuration={"max_concurrent_dpus": 4},
)
calculation = Calculation("sum", session_id=session.session_id, code=config.get("code") or CODE)

pulumi.export("session_id", session.session_id)
pulumi.export("printed", calculation.printed)
