"""The only caller of the API server beside the watch of TrainingJobs."""
