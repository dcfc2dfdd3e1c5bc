"""The way in: registration by mail, link, code and paper."""
