"""A session of Apache Spark version 3.5, which `table.py` works in."""

import pulumi

from athena_session_provider import Session

config = pulumi.Config()

session = Session(
    "session",
    work_group=config.require("workgroup"),
    engine_configuration={
        "classifications": [
            {"name": "spark-defaults", "properties": {"spark.sql.shuffle.partitions": "4"}}
        ]
    },
    session_idle_timeout_in_minutes=20,
)

pulumi.export("session_id", session.session_id)
