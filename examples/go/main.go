// A Spark session, declared in Go.
package main

import (
	"athena-session-provider/sdks/go/athenasession"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(program)
}

func program(ctx *pulumi.Context) error {
	workGroup := config.Get(ctx, "workGroup")
	if workGroup == "" {
		workGroup = "spark"
	}
	spark, err := athenasession.NewSession(ctx, "spark", &athenasession.SessionArgs{
		WorkGroup: pulumi.String(workGroup),
		EngineConfiguration: &athenasession.EngineConfigurationArgs{
			MaxConcurrentDpus: pulumi.Int(20),
		},
		SessionIdleTimeoutInMinutes: pulumi.Int(30),
		Tags:                        pulumi.StringMap{"team": pulumi.String("data")},
	}, pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "5m"}))
	if err != nil {
		return err
	}
	found := athenasession.LookupSessionOutput(ctx, athenasession.LookupSessionOutputArgs{
		SessionId: spark.SessionId,
	})
	ctx.Export("sessionId", spark.SessionId)
	ctx.Export("state", found.State())
	return nil
}
