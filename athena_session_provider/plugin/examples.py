"""The example of a session that the schema shows, in each language, by the name of its fence."""

from __future__ import annotations

YAML = """\
resources:
  spark:
    type: athena-session:Session
    properties:
      workGroup: spark
      engineConfiguration:
        maxConcurrentDpus: 20
      sessionIdleTimeoutInMinutes: 30
      tags:
        team: data
    options:
      customTimeouts:
        create: 5m
outputs:
  sessionId: ${spark.sessionId}
"""

TYPESCRIPT = """\
import * as athenaSession from "pulumi-athena-session";

const spark = new athenaSession.Session("spark", {
    workGroup: "spark",
    engineConfiguration: { maxConcurrentDpus: 20 },
    sessionIdleTimeoutInMinutes: 30,
    tags: { team: "data" },
}, { customTimeouts: { create: "5m" } });

export const sessionId = spark.sessionId;
"""

PYTHON = """\
import pulumi
from athena_session_provider import EngineConfigurationArgs, Session

spark = Session(
    "spark",
    work_group="spark",
    engine_configuration=EngineConfigurationArgs(max_concurrent_dpus=20),
    session_idle_timeout_in_minutes=30,
    tags={"team": "data"},
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="5m")),
)
pulumi.export("session_id", spark.session_id)
"""

GO = """\
package main

import (
	athenasession "athena-session-provider/sdks/go/athenasession"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		spark, err := athenasession.NewSession(ctx, "spark", &athenasession.SessionArgs{
			WorkGroup: pulumi.String("spark"),
			EngineConfiguration: &athenasession.EngineConfigurationArgs{
				MaxConcurrentDpus: pulumi.Int(20),
			},
			SessionIdleTimeoutInMinutes: pulumi.Int(30),
			Tags:                        pulumi.StringMap{"team": pulumi.String("data")},
		}, pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "5m"}))
		if err != nil {
			return err
		}
		ctx.Export("sessionId", spark.SessionId)
		return nil
	})
}
"""

EXAMPLES = {"typescript": TYPESCRIPT, "python": PYTHON, "go": GO, "yaml": YAML}
