"""libp2p: what its peers saw, and whom a node here meets directly."""
