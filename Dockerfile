# The service (`docker build .`) and, as the target `example`, the resource service of examples/resource_service.
# Any base with Python 3.11 or later and venv will do; its Python must be where the first stage found it, since a
# virtual environment only points there. Pin it by digest for builds that can be repeated.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/serve.txt requirements/
COPY examples/resource_service/requirements.txt examples/resource_service/
# What runs has no pip: what is not there needs no patches. --no-deps: every package is named, with its hash.
RUN python3 -m venv /opt/build \
 && python3 -m venv --without-pip /opt/idp \
 && /opt/build/bin/pip install --require-hashes --no-deps -r requirements/build.txt \
 && /opt/build/bin/pip --python /opt/idp/bin/python install --require-hashes --no-deps -r requirements/serve.txt
COPY pyproject.toml README.md ./
COPY idp idp
COPY keys keys
COPY migrations migrations
COPY verifier verifier
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . ./verifier \
 && /opt/build/bin/pip --python /opt/idp/bin/python install --no-deps --no-index /wheels/*.whl

FROM build AS build-example
RUN python3 -m venv --without-pip /opt/example \
 && /opt/build/bin/pip --python /opt/example/bin/python install --require-hashes --no-deps \
    -r examples/resource_service/requirements.txt \
 && /opt/build/bin/pip --python /opt/example/bin/python install --no-deps --no-index /wheels/idp_verifier-*.whl

FROM ${BASE} AS runtime
# The bytecode was written while installing, and the file system is meant to be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /tmp

FROM runtime AS example
COPY --from=build-example /opt/example /opt/example
COPY examples/resource_service /opt/example/src
ENV PATH=/opt/example/bin:$PATH
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9000, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["uvicorn", "--app-dir", "/opt/example/src", "--factory", "resource_service:create_app"]
CMD ["--host", "0.0.0.0", "--port", "9000"]

# The last stage is what a plain `docker build .` makes.
FROM runtime AS idp
COPY --from=build /opt/idp /opt/idp
ENV PATH=/opt/idp/bin:$PATH
EXPOSE 8000
# Alive, not ready: restarting this container would not bring a lost database back. 503 at /readyz says the latter.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["idp"]
CMD ["serve", "--host", "0.0.0.0"]
