"""gRPC faces of the registry: proto to domain and back, nothing else."""
