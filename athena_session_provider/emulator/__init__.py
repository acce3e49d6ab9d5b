"""A local Amazon Athena with Spark sessions, for tests, demos and benchmarks.

moto emulates Athena's work groups, S3, IAM and STS; it has no session operation.
This adds them, on the same port, and keeps the service's contract:

- Requests are validated by botocore's model, ranges, patterns and enums included.
- A replayed ClientRequestToken gets the first response, however stale; the same
  token with other parameters is refused. Ids and tokens are scoped by account and
  region.
- Sessions live by a clock: on engine 3 CREATED and IDLE after `start_seconds`; on 3.5 CREATING and
  CREATED after `start_seconds`, until a client connects. They end by the idle timeout.
- Quotas are in DPUs, as the account of a new customer has them.
- Work groups: `spark` (PySpark engine version 3) and `spark-35` (Apache Spark
  version 3.5) exist from the start, beside moto's `primary`, which is a SQL one.
  Each engine refuses what the real one refuses.
- What public sources leave open is a variant of `Settings`: see `VARIANTS`.

- Calculations run, in one Python interpreter for each session. With `spark=find_spark()`, each
  session of engine 3.5 is a Spark Connect server. **It executes the code that it is given, on this
  machine, as the user who started it**, and therefore listens on loopback only.

A test tells it what goes wrong (`inject`), moves its clock (`advance`), and asserts
from its books (`calls`, `sessions`):

>>> with Emulator(start_seconds=0.0) as emulator:
...     emulator.inject("StartSession", "drop-after")
...     ...
...     assert len(emulator.live_sessions()) == 1

`python -m athena_session_provider.emulator --port 5000` runs it as a process, which
`EmulatorClient(url)` controls in the same way.

The texts of errors and their sources are in `messages`. Guessed, because no source says it: the
order in which a request is checked beyond "model first", the default page size, the gRPC codes of
an endpoint that refuses, the AthenaErrorCode of all but validation errors, and of calculations the
names of their files in S3, the format of the result, and Progress.
"""

from __future__ import annotations

from . import messages
from .client import EmulatorClient, EmulatorError
from .faults import KINDS
from .records import Call, SessionRecord
from .server import Emulator
from .settings import VARIANTS, Settings
from .spark import Spark, find_spark

__all__ = [
    "KINDS",
    "VARIANTS",
    "Call",
    "Emulator",
    "EmulatorClient",
    "EmulatorError",
    "SessionRecord",
    "Settings",
    "Spark",
    "find_spark",
    "messages",
]
