"""The benchmarks. Each folder is one kind of measurement, and a command: `python -m benches.speed` and so on.

README.md says which there are. They are run from the folder above this one.
"""
