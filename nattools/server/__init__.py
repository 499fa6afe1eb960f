"""The parts of `nattools serve`."""
