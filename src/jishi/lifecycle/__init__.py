"""What a bundle lives through: made, judged, listed."""
