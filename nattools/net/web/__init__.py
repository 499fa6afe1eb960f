"""Streams to servers that are named: TLS, HTTP and WebSocket."""
