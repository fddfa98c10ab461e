"""Sources of samples: images, recordings of events, spoken digits, and encoders of streams."""
