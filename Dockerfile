# artidx serve, for an index that is mounted read-only:
#
#     docker build -t artidx .
#     docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v "$PWD/paintings.artidx:/index:ro" artidx
#
# Without an index it answers from the reference gallery. Tokens: -e ARTIDX_READ_TOKEN=... ; one is asked for wherever
# others than this machine can reach the port. Without one it answers when called by an address or localhost; by a name
# of yours with -e ARTIDX_ALLOW_HOST=NAME.
#
# What is installed is fixed: Python's packages file by file by locked.txt, the base image by its digest. Renew it when
# Debian or Python mends something: docker buildx imagetools inspect python:3.11-slim-bookworm
ARG BASE=python:3.11.17-slim-bookworm@sha256:2333bd330d12de02514770b3585cad313644316047cdee24a7acfdece6de6efb
FROM ${BASE} AS built
WORKDIR /source
COPY . .
RUN python -m venv /artidx \
    && /artidx/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        -r locked.txt \
    && /artidx/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps --no-build-isolation .

FROM ${BASE}
RUN groupadd --gid 10001 artidx && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin artidx
COPY --from=built /artidx /artidx
ENV PATH=/artidx/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ARTIDX_CACHE=/tmp/artidx
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
VOLUME /index
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
# An empty volume is no index; the reference gallery answers then.
CMD ["sh", "-c", "if [ -f /index/CURRENT ]; then set -- /index; fi; exec artidx serve \"$@\" --host 0.0.0.0", "artidx"]
