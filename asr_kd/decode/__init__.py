"""Decoding: the graph HCLG, beam search in one or several processes, and tuning."""
