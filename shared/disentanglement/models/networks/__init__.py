"""Networks: operations, layers, architectures, and one with weights."""
