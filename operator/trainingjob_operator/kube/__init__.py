"""Kubernetes API client: all calls to the API server except Kopf's watch of TrainingJobs."""
