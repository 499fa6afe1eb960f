"""NAT traversal toolkit and diagnostics: which way works on this network, why the others don't."""

__version__ = "0.1.0"
