"""This server's entry in a host's file: put there, brought up to date, taken out."""
