"""Pure rules: desired state, observed state, next step. No I/O; time is an argument."""
