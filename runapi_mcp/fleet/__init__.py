"""What servers of one address do for each other, and how RunAPI reaches them."""
