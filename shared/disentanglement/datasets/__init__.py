"""Data sets with known factors of variation: how factors are drawn, and which stored image shows them."""
