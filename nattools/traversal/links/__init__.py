"""Links: what carries a conversation over a path, by QUIC or TLS."""
