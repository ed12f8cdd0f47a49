"""The one guarded way out: to addresses that others named."""
