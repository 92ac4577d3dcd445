"""Generated from protos/disentanglement/v1 by `make proto`; never edited by hand."""
