"""What two connected machines use their connection for: `Tunnel`, and on top of it one file for each use."""

from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

__all__ = ["Tunnel", "TunnelStream"]
