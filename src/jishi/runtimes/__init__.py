"""What works a bundle's answers out. One file a runtime."""
