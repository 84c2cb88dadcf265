"""Kubernetes operator for SageMaker TrainingJob objects."""
