"""The documentation: its blocks of code run, its links lead somewhere, what it says of names and messages is so."""
