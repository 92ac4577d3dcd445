"""What several metrics compute of codes and factors."""
