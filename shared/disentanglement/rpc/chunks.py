"""How many bytes of a file or an array travel in one message of a stream."""

CHUNK_BYTES = 1 << 20
