"""Users, sessions, logins, roles, invitations, and who may manage what."""
