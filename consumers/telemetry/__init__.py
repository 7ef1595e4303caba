"""What a worker tells of itself: `reporter` counts batches, `reports` go up the line, `tracing` makes spans."""
