"""The server as a libp2p peer."""
