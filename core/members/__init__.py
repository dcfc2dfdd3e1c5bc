"""Lists, members, households, groups, unsubscribe and preference page."""
