"""Networks, objectives and their training, on torch."""
