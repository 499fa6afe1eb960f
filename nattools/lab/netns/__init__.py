"""Labs made of network namespaces (Linux): real sockets, kernel NAT, userspace routers for the rest."""
