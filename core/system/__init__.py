"""The installation itself: set up, examined, backed up, handed over, and told when something is wrong."""
