"""The reader's workbench: what a reader sees, does and leaves, and who reads what. Nothing below uses it."""
