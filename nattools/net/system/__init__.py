"""What the operating system gives: its sockets, interfaces and routes."""
