"""Documents in worker processes of their own: spooled in the signer, parsed and built where no key is."""
