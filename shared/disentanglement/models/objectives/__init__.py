"""What is minimised: one small frozen class per objective."""
