"""Explanations that had to pass a check: each comes with the test that could have refuted it, and the null."""
