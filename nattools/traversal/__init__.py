"""Making a connection: how two peers find each other, and the way from one to the other."""
