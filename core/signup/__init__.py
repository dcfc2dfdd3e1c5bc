"""Sign-up by mail, link, code and paper."""
