"""The procedure of ETSI EN 319 102-1: what is asked of a signature and of a time-stamp, step by step."""
