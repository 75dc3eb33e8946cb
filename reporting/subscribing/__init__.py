"""Who gets which report, and when in their own time zone; they end or pause it by a link, without a login."""
