"""The way of a paid task: made once, then followed to its end."""
