"""The signer: keys in the token, activation, document signatures."""
