"""Time per operation, by pyperf: the big benchmark (`python -m benches.speed`), and what else is timed like that."""
