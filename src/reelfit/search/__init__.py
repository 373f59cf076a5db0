"""The search for settings: what may be tried, and what is tried next."""
