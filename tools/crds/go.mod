module athena-session-provider/tools/crds

go 1.26

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/fluxcd/source-controller v1.9.6
)
