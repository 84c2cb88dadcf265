"""Development only: writes the CustomResourceDefinition and the field table from botocore's SageMaker model.

Run it with `python -m codegen crds` (or `python -m codegen --check`) with `operator/` on the path. It is not part
of the wheel, and nothing of it runs in the operator.
"""
