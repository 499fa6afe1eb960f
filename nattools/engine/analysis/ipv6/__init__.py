"""IPv6: addresses, faults, and whether others get in."""
