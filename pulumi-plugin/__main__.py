"""The plugin athena-session, as Pulumi runs it from this folder."""

from athena_session_provider.plugin.server import main

main()
