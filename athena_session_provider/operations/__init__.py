"""What Pulumi's calls mean for sessions, in plain values: the core below both providers."""
