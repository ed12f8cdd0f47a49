"""Who sells pictures: what the paid way needs of them, and RunAPI."""
