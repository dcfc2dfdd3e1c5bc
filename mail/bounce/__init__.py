"""Reading bounces: the report, the recipients, the server's reply and the verdict."""
