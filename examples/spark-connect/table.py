"""Write and read a table in a session of Athena, by Spark Connect.

    python table.py "$(pulumi stack output session_id)"

Region and credentials come from boto3's own chain, such as AWS_REGION and AWS_PROFILE.
"""

from __future__ import annotations

import argparse
import os

from athena_session_provider import remote_spark

ORDERS = [
    ("Aachen", "2026-03-01", 120.0),
    ("Aachen", "2026-03-02", 80.0),
    ("Bremen", "2026-03-01", 45.5),
    ("Cottbus", "2026-03-02", 310.0),
]


TOTALS = """
SELECT city, count(*) AS orders, sum(amount) AS amount
FROM orders GROUP BY city ORDER BY amount DESC
"""


def main() -> None:
    """Write orders into a table, and show the sum of each city."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("session_id")
    session_id = parser.parse_args().session_id

    # Only a local emulator of Athena is named in the environment.
    spark = remote_spark(session_id, endpoint_url=os.environ.get("AWS_ENDPOINT_URL_ATHENA"))
    orders = spark.createDataFrame(ORDERS, "city string, day string, amount double")
    orders.write.mode("overwrite").saveAsTable("orders")
    print(TOTALS)
    spark.sql(TOTALS).show()
    spark.stop()


if __name__ == "__main__":
    main()
