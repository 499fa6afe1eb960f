"""What a person or a program sees while a command runs."""
