"""What data there is, where to get it, what it looks like, and what is wrong with it."""
