"""The local network: what it lets through, and who announces what."""
