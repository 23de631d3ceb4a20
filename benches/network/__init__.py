"""Servers and clients under load (`python -m benches.network`), and the processes that they run in."""
