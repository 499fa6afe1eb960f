"""A tailnet's servers: is its control server reached, and how far away are the regions of its DERP map?"""
