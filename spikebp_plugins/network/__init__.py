"""A network: its definition, its numbers, and its learned state."""
