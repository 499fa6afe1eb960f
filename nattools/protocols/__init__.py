"""Pure protocols: bytes and `now` in; messages, datagrams and the next deadline out."""
