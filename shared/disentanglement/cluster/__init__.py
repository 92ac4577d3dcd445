"""Studies on Kubernetes: a resource becomes a plan, the plan becomes Jobs, and Jobs and store become its status."""
