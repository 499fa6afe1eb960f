"""QUIC connections as both sides of a link configure them, from the secret that they share. Importing this
imports qh3."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from qh3 import CipherSuite, QuicConfiguration, QuicConnection, SessionTicket

from nattools.traversal.identity import NAME, derive, identity

ID_SIZE: Final = 8
"""Bytes of a connection ID."""
DATAGRAM_SIZE: Final = 1200
"""What every path carries (RFC 9000 14)."""
IDLE_S: Final = 300.0
_ED25519: Final = 0x0807
_EARLY_WINDOW: Final = 16 << 20


class Keys:
    """What the connections of one link are made from: the secret, and the certificate that a server has to
    have though it is never used."""

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        own = identity(secret, leads=False)
        self._secret = secret
        self._certificate = own.pem
        self._key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def pre_shared(self, use: bytes) -> SessionTicket:
        """The key for one use. Without a size for early data, nothing is sent before the peer is proven."""
        return SessionTicket(
            age_add=0,
            cipher_suite=CipherSuite.AES_128_GCM_SHA256,
            not_valid_before=datetime.min,
            not_valid_after=datetime.max,
            resumption_secret=derive(self._secret, use),
            server_name=NAME,
            ticket=NAME.encode(),
        )

    def client(self, use: bytes, *, probes: bool) -> QuicConnection:
        """With `probes` it finds out what larger datagrams the path carries (RFC 8899)."""
        configuration = self._configuration(is_client=True, probes=probes)
        configuration.server_name = NAME
        configuration.session_ticket = self.pre_shared(use)
        configuration.signature_algorithms = [_ED25519]
        configuration.cadata = self._certificate
        return QuicConnection(configuration=configuration)

    def server(self, use: bytes, original: bytes) -> QuicConnection:
        """`original`: the connection ID that the client's first packet goes to."""
        configuration = self._configuration(is_client=False, probes=False)
        configuration.load_cert_chain(self._certificate, self._key)
        ticket = self.pre_shared(use)
        return QuicConnection(
            configuration=configuration,
            original_destination_connection_id=original,
            session_ticket_fetcher=lambda name: ticket if name == ticket.ticket else None,
        )

    def _configuration(self, *, is_client: bool, probes: bool) -> QuicConfiguration:
        return QuicConfiguration(
            is_client=is_client,
            alpn_protocols=[NAME],
            cipher_suites=[CipherSuite.AES_128_GCM_SHA256],
            connection_id_length=ID_SIZE,
            idle_timeout=IDLE_S,
            max_datagram_size=DATAGRAM_SIZE,
            max_datagram_frame_size=DATAGRAM_SIZE,
            probe_datagram_size=probes,
            max_data=2 * _EARLY_WINDOW,
            max_stream_data=_EARLY_WINDOW,
        )
