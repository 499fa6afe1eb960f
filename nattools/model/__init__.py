"""Frozen types of everything in a report. One definition gives the JSON, its schema and its validation."""
