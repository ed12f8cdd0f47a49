"""What serving and setting up both stand on. Knows neither of them."""
