"""A measurement that runs on, and what it tells."""
