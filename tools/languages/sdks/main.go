// Command sdks writes the SDKs of a Pulumi package in TypeScript, Go and .NET, from its schema.
//
// It calls Pulumi's generators that `pulumi package gen-sdk` calls through a language host, which not
// every machine has.
//
//	sdks SCHEMA.json FOLDER
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/pkg/v3/codegen/dotnet"
	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "athena-session-provider"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sdks SCHEMA.json FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(schemaFile, folder string) error {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	pkg, diagnostics, err := schema.BindSpec(spec, nil, schema.ValidationOptions{})
	if err != nil {
		return err
	}
	if diagnostics.HasErrors() {
		return diagnostics
	}
	files, err := nodejs.GeneratePackage(tool, pkg, nil, nil, true, nil)
	for name := range files {
		if strings.Contains(name, "/") {
			files[name] = upOneFolder(files[name])
		}
	}
	if err = write(folder, "nodejs", files, err); err != nil {
		return err
	}
	files, err = gogen.GeneratePackage(tool, pkg, nil)
	if files != nil {
		files["go.mod"] = []byte("module athena-session-provider/sdks/go\n\ngo 1.24\n\n" +
			"require github.com/pulumi/pulumi/sdk/v3 v3.206.0\n")
	}
	if err = write(folder, "go", files, err); err != nil {
		return err
	}
	// The generator for .NET fetches a logo, by default from a network that may not be there.
	http.DefaultTransport.(*http.Transport).RegisterProtocol("blank", blankLogo{})
	pkg.LogoURL = "blank:logo"
	files, err = dotnet.GeneratePackage(tool, pkg, nil, nil)
	return write(folder, "dotnet", files, err)
}

// upOneFolder mends the imports of a module in a folder. The generator relies on filepath.Rel, which
// returns cleaned paths since Go 1.26, and then takes the folder for the root (fixed in 3.222).
func upOneFolder(source []byte) []byte {
	for _, module := range []string{"types/input", "types/output", "utilities"} {
		source = bytes.ReplaceAll(source, []byte(`"./`+module+`"`), []byte(`"../`+module+`"`))
	}
	return source
}

func write(folder, language string, files map[string][]byte, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", language, err)
	}
	for name, content := range files {
		path := filepath.Join(folder, language, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type blankLogo struct{}

func (blankLogo) RoundTrip(request *http.Request) (*http.Response, error) {
	var logo bytes.Buffer
	if err := png.Encode(&logo, image.NewNRGBA(image.Rect(0, 0, 64, 64))); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&logo), Request: request}, nil
}
