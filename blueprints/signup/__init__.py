"""How people join a list by themselves: codes, registration day, who waits for approval."""
