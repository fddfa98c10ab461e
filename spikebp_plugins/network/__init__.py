"""What a network is: its definition, its numbers, and what it has learned."""
