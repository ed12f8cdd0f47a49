"""The programs that start this server, and what each of them needs."""
