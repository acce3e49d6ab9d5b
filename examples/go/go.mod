module spark

go 1.24

require (
	athena-session-provider/sdks/go v0.0.0
	github.com/pulumi/pulumi/sdk/v3 v3.206.0
)

// `make sdks` writes it.
replace athena-session-provider/sdks/go => ../../build/sdks/go
