"""Rows, folds, seeds, shards and batches: what lies between a video and a model."""
