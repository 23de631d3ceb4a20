"""What the tests share: child processes, the implementations of Future and Task, the event loops."""
