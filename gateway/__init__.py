"""The only public door: REST over HTTP in, gRPC to the services out. It keeps nothing and knows no database."""
