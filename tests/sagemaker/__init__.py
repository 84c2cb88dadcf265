"""A SageMaker stand-in: a small server that behaves like the service for training jobs. See README.md beside it."""
