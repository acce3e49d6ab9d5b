import * as pulumi from "@pulumi/pulumi";
import * as athenaSession from "pulumi-athena-session";

const config = new pulumi.Config();

const spark = new athenaSession.Session("spark", {
    workGroup: config.get("workGroup") ?? "spark",
    engineConfiguration: { maxConcurrentDpus: 20 },
    sessionIdleTimeoutInMinutes: 30,
    tags: { team: "data" },
}, { customTimeouts: { create: "5m" } });

const found = athenaSession.getSessionOutput({ sessionId: spark.sessionId });

export const sessionId = spark.sessionId;
export const state = found.state;
