"""Reports as text, Markdown, HTML and JSON."""
