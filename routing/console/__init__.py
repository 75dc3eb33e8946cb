"""What people look at: admin pages, health, status."""
