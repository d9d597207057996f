"""Stages of recipes of kind ``images``: one image is one frame, a block of images is an utterance."""
