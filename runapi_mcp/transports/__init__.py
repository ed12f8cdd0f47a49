"""Ways to reach the server: stdio, and HTTP with Streamable HTTP and SSE."""
