"""Templates of notifications: kept in versions, checked before they are used, and unable to do harm."""
