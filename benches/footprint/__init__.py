"""Bytes, wake-ups and the import: `python -m benches.footprint sizes|memory|idle|import-time`."""
