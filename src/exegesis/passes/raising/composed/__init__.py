"""Networks whose heads work together and that nobody could read head by head: what can be said of them all the same."""
