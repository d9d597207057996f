"""The pronunciation lexicon, the phone set, the HMM with its senone tree, and Viterbi search over an FST."""
