"""A session for each team that the stack's configuration names.

    pulumi config set --path teams.ingest.dpus 8
    pulumi config set --path 'teams.ingest.spark["spark.sql.shuffle.partitions"]' 64

A team that is removed from the configuration loses its session; the others' stay as they are.
"""

from typing import Any

import pulumi

from athena_session_provider import EngineConfigurationArgs, Session

DPUS = 4
"""The default of a team."""

config = pulumi.Config()
teams: dict[str, dict[str, Any]] = config.require_object("teams")

sessions = {
    team: Session(
        team,
        work_group=config.require("workgroup"),
        engine_configuration=EngineConfigurationArgs(
            max_concurrent_dpus=settings.get("dpus", DPUS),
            spark_properties={
                # Cost reports and Spark's pages then show the owner.
                "spark.app.name": team,
                **{name: str(value) for name, value in settings.get("spark", {}).items()},
            },
        ),
        session_idle_timeout_in_minutes=settings.get("idleTimeoutMinutes"),
        tags={"team": team},
    )
    for team, settings in teams.items()
}

pulumi.export("session_ids", {team: session.session_id for team, session in sessions.items()})
