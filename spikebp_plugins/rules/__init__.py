"""The rules: the executable specification that every back end follows."""
