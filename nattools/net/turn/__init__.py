"""TURN's client side, driven over sockets and streams."""
