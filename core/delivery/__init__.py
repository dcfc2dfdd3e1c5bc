"""The queue of letters, the SMTP workers, throttling, and what server replies mean."""
