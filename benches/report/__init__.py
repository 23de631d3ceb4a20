"""What all measurements have in common when they tell what they found: tables, the machine, charts."""
