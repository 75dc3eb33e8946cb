"""Services that the project starts for itself, on private ports and in private folders, never the system's."""
