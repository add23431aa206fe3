"""Canonicalisation: exact rewrites that leave less to look at."""
