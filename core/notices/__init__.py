"""A notice from draft to start: recipients, merge fields, questions, attachments, checks, review, reminders."""
