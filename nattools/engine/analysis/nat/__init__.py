"""One NAT: how it maps, filters and chooses ports, and what RFCs ask of it."""
