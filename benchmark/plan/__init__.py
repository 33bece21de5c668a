"""From options to the list of runs."""
