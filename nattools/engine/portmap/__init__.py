"""Port mappings: tried, made, listed, removed and kept, with a journal so that nothing is left behind."""
