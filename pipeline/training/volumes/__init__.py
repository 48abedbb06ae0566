"""Training on volumes: what differs from pictures; all else is shared."""
