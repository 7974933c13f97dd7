"""The verifier: says of every signature in a document whether it holds, by the procedure of ETSI EN 319 102-1."""
