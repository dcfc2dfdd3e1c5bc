"""What readers do: read confirmations, answers, openings, and marks by telephone."""
