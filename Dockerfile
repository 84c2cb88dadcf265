# The first stage installs packages by hash; the second one runs neither pip nor a compiler.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# Extracts the build backend with its hashes from the development lock.
RUN python -m venv /opt/operator \
 && /opt/operator/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && awk '/^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/,!/\\$/' requirements-dev.lock > backend.lock \
 && pip install --no-cache-dir --no-deps --require-hashes -r backend.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/operator/bin/pip install --no-cache-dir --no-deps dist/*.whl \
 && /opt/operator/bin/pip check \
 && /opt/operator/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
COPY --from=build /opt/operator /opt/operator
ENV PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/opt/operator/bin/trainingjob-operator"]
CMD ["run"]
