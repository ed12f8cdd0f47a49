"""RunAPI in one process: its contract as strictly as the real thing, pictures without money."""
