"""`kubectl trainingjob`: list, follow and explain TrainingJobs in a terminal. The operator never imports it."""
