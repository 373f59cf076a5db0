"""From a file to the frames wanted: what it holds, which frames to take, and their pixels."""
