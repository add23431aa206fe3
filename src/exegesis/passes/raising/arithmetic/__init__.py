"""Reading networks that compute in a group: which frequencies they use, and how the waves of two tokens meet."""
