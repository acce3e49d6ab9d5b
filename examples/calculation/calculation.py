"""A calculation as a Pulumi resource: it runs once, and again when its code or session changes.

In a module of its own, and not in ``__main__``, so that Pulumi stores the provider by its name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    Resource,
    ResourceProvider,
)

from athena_session_provider.service.settings import aws_settings, boto3_session

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions

POLL_SECONDS = 0.5
TIMEOUT_SECONDS = 600
DONE = ("COMPLETED", "FAILED", "CANCELED")


class CalculationProvider(ResourceProvider):
    """Runs code in a session. There is nothing to delete: the results stay in S3."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's region and credentials, as the sessions do."""
        self._settings = aws_settings(req.config)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run the code and wait until it has ended."""
        aws = boto3_session(self._settings)
        athena = aws.client("athena", endpoint_url=self._settings.endpoint("athena"))
        s3 = aws.client("s3", endpoint_url=self._settings.endpoint("s3"))
        calculation = athena.start_calculation_execution(
            SessionId=props["session_id"], CodeBlock=props["code"]
        )["CalculationExecutionId"]
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = athena.get_calculation_execution(CalculationExecutionId=calculation)
            status = answer["Status"]
            if status["State"] in DONE:
                break
            if time.monotonic() > deadline:
                athena.stop_calculation_execution(CalculationExecutionId=calculation)
                raise RuntimeError(f"Calculation {calculation} took over {TIMEOUT_SECONDS} seconds")
            time.sleep(POLL_SECONDS)
        if status["State"] != "COMPLETED":
            reason = status.get("StateChangeReason", "no reason was given")
            raise RuntimeError(f"Calculation {calculation} is {status['State']}: {reason}")
        bucket, _, key = answer["Result"]["StdOutS3Uri"].removeprefix("s3://").partition("/")
        printed = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return CreateResult(calculation, {**props, "printed": printed})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Run again if the code or the session changed."""
        changed = [name for name in ("session_id", "code") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(changed), replaces=changed)


class Calculation(Resource):
    """The output of Python code, run in a session of PySpark engine version 3."""

    printed: Output[str]
    """Standard output of the code."""

    def __init__(
        self,
        name: str,
        *,
        session_id: Input[str],
        code: Input[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        """Declare a calculation."""
        properties = {"session_id": session_id, "code": code, "printed": None}
        super().__init__(CalculationProvider(), name, properties, opts)
