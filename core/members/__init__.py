"""Those who receive: lists, members, families, groups, and how they leave."""
