"""The deployment with docker compose: its secrets, its `.env`, and checks of the machine that runs it."""
