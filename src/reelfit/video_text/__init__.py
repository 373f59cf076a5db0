"""Networks of videos and texts together: encoders, pooling, losses, captions."""
