"""Flux 2 for coding agents: an MCP server that draws through RunAPI."""

__version__ = "0.1.0"
