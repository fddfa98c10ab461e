"""Where samples come from: images, recordings of events, and the encoder of events."""
