"""The relay: TURN (RFC 8656, RFC 6062) from credentials to peers."""
