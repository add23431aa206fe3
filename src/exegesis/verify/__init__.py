"""The judge: is a program the algorithm that a network runs? Independent of everything that made the program."""
