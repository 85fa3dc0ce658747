# One image for the daemon, the workers and the MLflow server (docker-compose.yml); docs/services.md tells how.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/run.lock requirements/build.lock requirements/
RUN python -m venv /opt/retraind/.venv \
    && /opt/retraind/.venv/bin/python -m pip install --require-hashes -r requirements/run.lock \
    && python -m pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY triggers triggers
COPY retraind retraind
COPY workers workers
COPY daemon daemon
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && /opt/retraind/.venv/bin/python -m pip install --no-deps --no-index wheels/*.whl

FROM python:3.13-slim
# The directories belong to the user here, so that fresh named volumes over them do too.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/retraind --shell /usr/sbin/nologin retraind \
    && install -d -o retraind -g retraind -m 0750 /var/lib/retraind /var/lib/mlflow \
    && install -d -m 0755 /etc/retraind
COPY --from=build /opt/retraind /opt/retraind
ENV PATH=/opt/retraind/.venv/bin:$PATH RETRAIND_CONFIG=/etc/retraind/retraind.yaml \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GIT_PYTHON_REFRESH=quiet
USER retraind
WORKDIR /var/lib/retraind
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
    CMD ["retraind", "healthcheck"]
ENTRYPOINT ["retraind"]
CMD ["run"]
