"""Pure rules: what is wanted, what was seen, what follows. Talks to nobody; time is an argument."""
