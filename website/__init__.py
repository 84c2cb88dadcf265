"""Programs of `make site`."""
