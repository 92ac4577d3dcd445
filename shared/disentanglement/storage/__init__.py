"""Where artifacts are kept: keys, stores, the commit protocol, data sets and codes, the collector."""
