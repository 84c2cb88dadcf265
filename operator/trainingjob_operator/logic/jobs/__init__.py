"""Training jobs as SageMaker describes them: answers, errors, quotas, pages and events, and the order of Creates."""
