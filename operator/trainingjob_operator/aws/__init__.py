"""The only importer of boto3 and botocore: calls, credentials, budgets."""
