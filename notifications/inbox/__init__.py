"""What users find when they look: messages that are stored for them, unread until they say so."""
