"""Lines of code that use a session, to paste into a program or a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from athena_session_provider.service.states import ENGINE_3_5

if TYPE_CHECKING:
    from athena_session_provider.cli.sessions import NamedSession


def client_lines(session: NamedSession) -> dict[str, str]:
    """Return lines that run a statement in the session, by the name of the client.

    Sessions of engine 3.5 accept Spark Connect clients, those of engine 3 calculations.
    """
    work_group, region = repr(session.work_group), repr(session.region)
    session_id = repr(session.session_id)
    if session.engine_version == ENGINE_3_5:
        return {
            "Spark Connect": (
                "from athena_session_provider import remote_spark\n"
                f"spark = remote_spark({session_id}, region={region})\n"
                "spark.sql('select 1').show()"
            )
        }
    return {
        "PyAthena": (
            "from pyathena import connect\n"
            "from pyathena.spark.cursor import SparkCursor\n"
            f"connection = connect(work_group={work_group}, region_name={region}, "
            "cursor_class=SparkCursor)\n"
            f"cursor = connection.cursor(session_id={session_id})\n"
            "cursor.execute(\"spark.sql('select 1').show()\")"
        ),
        "awswrangler": (
            "import awswrangler as wr, boto3\n"
            "wr.athena.run_spark_calculation(\n"
            f"    \"spark.sql('select 1').show()\", workgroup={work_group},\n"
            f"    session_id={session_id}, boto3_session=boto3.Session(region_name={region}),\n"
            ")"
        ),
        "boto3": (
            "import boto3\n"
            f'boto3.client("athena", region_name={region}).start_calculation_execution(\n'
            f"    SessionId={session_id}, CodeBlock=\"spark.sql('select 1').show()\"\n"
            ")"
        ),
    }
