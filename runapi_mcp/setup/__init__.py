"""Setting up: the entry in a host's file, and what is wrong with it. Nothing here serves."""
