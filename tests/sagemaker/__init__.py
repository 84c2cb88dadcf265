"""A SageMaker stand-in: a small server with SageMaker's behaviour for training jobs. See README.md beside it."""
