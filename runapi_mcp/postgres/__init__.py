"""PostgreSQL for whoever keeps something there. Knows nothing of what is kept."""
