"""How Kyso is deployed: one machine (`deploy.local`) or Kubernetes (`deploy/k8s`)."""
