# The base of both stages: an image of Python on Debian. A release pins it by digest, as docs/install.md describes.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# Extracts the build backend with its hashes from the development lock. --only-binary: the same wheels everywhere, and
# no compiler.
RUN awk '/^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/,!/\\$/' requirements-dev.lock > backend.lock \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r backend.lock \
 && python3 -m venv --without-pip /opt/operator \
 && /opt/build/bin/pip --python /opt/operator/bin/python install --no-cache-dir --no-compile --no-deps \
      --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator/trainingjob_operator operator/trainingjob_operator
COPY image image
# The root is read-only at run time: without compiled modules each start would compile all again.
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/build/bin/pip --python /opt/operator/bin/python install --no-cache-dir --no-compile --no-deps dist/*.whl \
 && /opt/build/bin/pip --python /opt/operator/bin/python check \
 && python3 image/prune.py /opt/operator \
 && /opt/operator/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/operator/lib

FROM ${BASE}
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainingjob-operator" \
      org.opencontainers.image.description="Reconciles TrainingJob objects with Amazon SageMaker training jobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/operator /opt/operator
ENV PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/opt/operator/bin/trainingjob-operator"]
CMD ["run"]
