"""`python -m services.verifier`: serve gRPC with --config, check one file with `check`, a list with `trust-list`."""

import sys

if sys.argv[1:2] == ["check"]:
    from services.verifier.commands.check import main as check

    sys.exit(check(sys.argv[2:]))

if sys.argv[1:2] == ["trust-list"]:
    from services.verifier.commands.trust_list_command import main as trust_list

    sys.exit(trust_list(sys.argv[2:]))

from services.verifier.main import main

main()
