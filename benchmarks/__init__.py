"""Commands that measure timesad against its peers: ``python -m benchmarks.peers --help`` from the repository root."""
