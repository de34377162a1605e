"""What may be told outside of a call once it has ended: metrics and events."""
