"""Planning, running and analysing a measurement."""
