"""The ground: errors and checks of arguments, files, progress."""
