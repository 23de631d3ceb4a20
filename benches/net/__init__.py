"""What network.py measures, and with what: servers, clients, and the processes that they run in."""
