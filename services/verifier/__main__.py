"""`python -m services.verifier`: serve gRPC with --config, or check one file with `check`."""

import sys

if sys.argv[1:2] == ["check"]:
    from services.verifier.check import main as check

    sys.exit(check(sys.argv[2:]))

from services.verifier.main import main

main()
