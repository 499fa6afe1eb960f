"""`nattools serve`: STUN, dial-back and the mailbox."""
