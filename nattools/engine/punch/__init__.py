"""Connecting two machines: measure, meet, plan, try, secure, and say why."""
