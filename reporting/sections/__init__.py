"""What reports consist of: each section is a file, and any report may list it."""
