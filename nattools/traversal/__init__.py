"""Making a connection between two machines, whatever stands between them."""
