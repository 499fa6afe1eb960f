"""Overlay networks: Tailscale, headscale and others, and their peers."""
