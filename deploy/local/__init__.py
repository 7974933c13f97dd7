"""The whole platform on one machine: what is missing is provided, processes start in order, demo data is made once."""
