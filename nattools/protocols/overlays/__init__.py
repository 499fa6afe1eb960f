"""What programs that join machines print about themselves and their peers: one parser for each, all pure.

A file may come from anybody: decoders raise ProtocolError and nothing else, for any bytes; unknown fields are
ignored, and everything has a bound.
"""

from nattools.protocols.overlays.recognition import MAX_STATUS, parse_status

__all__ = ["MAX_STATUS", "parse_status"]
