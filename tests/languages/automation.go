// Added to a program in Go by a test: runs it as an inline program of the Automation API, which
// needs no language host. Up, a second up, the outputs, and destroy. Prints JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// Before main, which would wait for the engine.
func init() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run() error {
	ctx := context.Background()
	stack, err := auto.UpsertStackInlineSource(ctx, "dev", "automation", program)
	if err != nil {
		return err
	}
	var config auto.ConfigMap
	if err := json.Unmarshal([]byte(os.Getenv("STACK_CONFIG")), &config); err != nil {
		return err
	}
	if err := stack.SetAllConfig(ctx, config); err != nil {
		return err
	}
	first, err := stack.Up(ctx)
	if err != nil {
		return err
	}
	second, err := stack.Preview(ctx)
	if err != nil {
		return err
	}
	outputs := map[string]any{}
	for name, output := range first.Outputs {
		outputs[name] = output.Value
	}
	destroyed, err := stack.Destroy(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"outputs": outputs, "second": second.ChangeSummary, "destroyed": destroyed.Summary.ResourceChanges,
	})
}
