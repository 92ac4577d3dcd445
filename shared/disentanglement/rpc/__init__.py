"""The wire: specs and errors as protobuf, and what servers and clients share. Nothing inside imports this."""
