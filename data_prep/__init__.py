"""One module for each corpus: from a folder or a download to manifests, lexicon and LM text."""
