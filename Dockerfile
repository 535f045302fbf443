# The stub server in a container: docs/howto/containers.md says how to run it.
#
#     docker build -t fake-oauth .
#     docker run --rm -p 127.0.0.1:8080:8080 fake-oauth

FROM python:3.13-slim

COPY pyproject.toml README.md LICENSE /src/
COPY fake_oauth /src/fake_oauth
COPY fixtures /src/fixtures
RUN pip install --no-cache-dir "/src[check,tls]"

RUN useradd --create-home --uid 10001 fake
USER 10001
WORKDIR /home/fake

# Only a connection: a request would use up a scripted fault, and be in the journal.
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080), 2).close()"]

EXPOSE 8080
ENTRYPOINT ["fake-oauth"]
CMD ["serve", "--host", "0.0.0.0", "--issuer", "http://localhost:8080"]
