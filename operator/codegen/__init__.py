"""Code generator for development: writes the CRD and the field table from botocore's SageMaker model.

Run `python -m codegen crds` or `python -m codegen --check` with `operator/` on the path. The wheel does not include it.
"""
