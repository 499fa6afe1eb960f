"""The NAT engine: what the simulator and the userspace routers on netns translate and filter by."""
