"""An app with one migration, which changes a table that everybody uses."""
