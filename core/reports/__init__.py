"""What came of notices: boards, answers, statistics, digests and the dashboard."""
