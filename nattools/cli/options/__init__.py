"""Options that commands share, or that fill a file of their own: as typed, and as checked."""
