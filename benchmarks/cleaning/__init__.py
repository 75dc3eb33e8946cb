"""Removing what is expired, beside a pipeline at work."""
