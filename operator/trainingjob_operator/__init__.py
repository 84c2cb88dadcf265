"""A Kubernetes operator that makes SageMaker TrainingJob objects true and tells the truth about them."""

__version__ = "0.1.0"
