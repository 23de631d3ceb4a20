"""What asyncio's functions are in the releases of CPython that were looked at: a table for each version."""
