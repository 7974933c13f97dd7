"""Where trust comes from: the registry's anchors, trust lists (ETSI TS 119 612), and how fresh both are."""
