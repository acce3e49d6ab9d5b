// Runs the program that is named by the first argument as an inline program of the Automation API,
// which needs no language host: up, a second up, the outputs, and destroy. Prints JSON.
const { LocalWorkspace } = require("@pulumi/pulumi/automation");

async function main() {
    const stack = await LocalWorkspace.createOrSelectStack({
        stackName: "dev",
        projectName: "automation",
        // Run anew by each command: Node keeps what a module exports, and would not run it again.
        program: async () => {
            delete require.cache[require.resolve(process.argv[2])];
            return require(process.argv[2]);
        },
    });
    await stack.setAllConfig(JSON.parse(process.env.STACK_CONFIG));
    const first = await stack.up();
    const second = await stack.preview();
    const outputs = Object.fromEntries(
        Object.entries(first.outputs).map(([name, output]) => [name, output.value]),
    );
    const destroyed = await stack.destroy();
    console.log(JSON.stringify({
        outputs,
        second: second.changeSummary,
        destroyed: destroyed.summary.resourceChanges,
    }));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
