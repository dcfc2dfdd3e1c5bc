"""Those who write and send: accounts, log-in, roles, in whose name."""
