"""How time and memory grow with the number of tasks, timers and connections: `python -m benches.growth`."""
