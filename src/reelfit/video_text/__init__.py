"""Networks that see videos and texts together: to find one by the other, and to write captions."""
