"""``python -m athena_session_provider`` is the command ``athena-sessions``."""

from __future__ import annotations

import sys

from athena_session_provider.cli import main

sys.exit(main())
