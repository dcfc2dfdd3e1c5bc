"""What came of it: the board, answers, figures, digests, the first page."""
