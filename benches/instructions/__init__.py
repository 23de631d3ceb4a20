"""Machine instructions, counted by callgrind: a comparison (`python -m benches.instructions`), and the guard for CI."""
