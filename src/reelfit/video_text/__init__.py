"""Videos and texts in one space: the network, its losses, and captions."""
