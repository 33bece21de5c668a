"""`make gpu-check`: what only a GPU can show, checked on one in a few minutes (see `check`)."""
