"""The operator's desk for dead letters: read, replay, correct and settle them."""
