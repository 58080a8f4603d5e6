"""The pages, over the same services."""
