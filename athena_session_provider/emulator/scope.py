"""Where the emulator's resources exist."""

from __future__ import annotations

from typing import NamedTuple


class Scope(NamedTuple):
    """Where a session exists: ids and tokens mean nothing outside of it."""

    account_id: str
    region: str
    partition: str

    @property
    def default_bucket(self) -> str:
        """Return the bucket of work groups that name no location; it need not exist."""
        return f"athena-spark-results-{self.account_id}-{self.region}"

    def arn(self, resource: str) -> str:
        """Return the ARN of a resource of Athena in this account and region."""
        return f"arn:{self.partition}:athena:{self.region}:{self.account_id}:{resource}"
