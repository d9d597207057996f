"""Alignment: flat start with Gaussian mixtures, Viterbi training and forced alignment with any scorer."""
