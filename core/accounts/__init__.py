"""Users who send: accounts, logins, sessions, roles, class teachers."""
