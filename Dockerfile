# One image for API, worker, migrations and the mail catcher; the command says which.
FROM python:3.11-slim AS built
WORKDIR /app
RUN python -m venv /opt/relance
ENV PATH=/opt/relance/bin:$PATH
# What changes rarely comes first, so that a change of code installs nothing anew.
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY api ./api
COPY domain ./domain
COPY workers ./workers
COPY cli ./cli
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11-slim
COPY --from=built /opt/relance /opt/relance
ENV PATH=/opt/relance/bin:$PATH PYTHONUNBUFFERED=1 RELANCE_HOST=0.0.0.0
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin relance
USER 10001
EXPOSE 8000
CMD ["relance", "api"]
