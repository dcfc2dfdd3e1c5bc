"""Incoming mail: spool, dispatch, posts, replies, bounces, allowed senders, IMAP."""
