"""A Kubernetes operator that makes SageMaker TrainingJob objects true and tells the truth about them."""
