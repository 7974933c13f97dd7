"""`python -m tests.fuzz`; apart from `run`, which the processes that it starts import."""

import sys

from tests.fuzz.run import main

sys.exit(main())
