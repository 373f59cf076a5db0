"""Where units run: each in a process of its own, whose memory is back when it ends."""
