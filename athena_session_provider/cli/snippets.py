"""Lines to paste into a program or a notebook, to work in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from athena_session_provider.cli.sessions import NamedSession

SPARK_CONNECT_ENGINE = "Apache Spark version 3.5"
"""Its sessions take no calculations over the API, but connections of Spark Connect."""


def client_lines(session: NamedSession) -> dict[str, str]:
    """Give, for each client, the lines that run something in the session."""
    work_group, region = repr(session.work_group), repr(session.region)
    session_id = repr(session.session_id)
    if session.engine_version == SPARK_CONNECT_ENGINE:
        return {
            "Spark Connect": (
                "import boto3\n"
                "from pyspark.sql import SparkSession\n"
                f'athena = boto3.client("athena", region_name={region})\n'
                f"endpoint = athena.get_session_endpoint(SessionId={session_id})\n"
                'url = endpoint["EndpointUrl"].replace("https", "sc", 1)\n'
                "spark = SparkSession.builder.remote(\n"
                "    f\"{url}/;use_ssl=true;x-aws-proxy-auth={endpoint['AuthToken']}\"\n"
                ").getOrCreate()\n"
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
