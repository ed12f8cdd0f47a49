"""Pictures as files: fetched from where RunAPI keeps them, saved under a name that says what."""
