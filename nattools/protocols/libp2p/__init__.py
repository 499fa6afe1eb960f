"""libp2p over TCP: who a peer is, where it is, how a connection is secured and shared, and the protocols by
which peers find out whether they can be reached: identify, AutoNAT v2, circuit relay v2, DCUtR.

Pure: bytes in, values out, and back. Peers are hostile here: decoders raise ProtocolError and nothing else,
for any bytes, and hold no more than they say.
"""
