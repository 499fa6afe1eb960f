"""A libp2p host on any network: its connections, their streams, and what is asked and answered over them."""
