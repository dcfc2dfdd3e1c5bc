"""Signup by mail, link, code and paper, with quotas and approvals."""
