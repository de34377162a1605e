"""What runs beside the calls: heartbeats, lapsed processes, kept closes."""
