"""The doors of the house: log in, log out, links from letters, one's own account."""
