"""What a network computes: the specification that every back end follows."""
