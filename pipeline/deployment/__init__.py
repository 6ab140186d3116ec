"""The deployment with docker compose: its secrets, its `.env`, and what is wrong with the machine that is to run it."""
