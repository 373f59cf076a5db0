"""The loop, one exact step, the optimizer and the checkpoints."""
