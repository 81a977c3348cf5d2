# CPU:  docker build -t poisonkit .
# GPU:  docker build -t poisonkit:gpu --build-arg EXTRAS=gpu .
# Use:  docker run --rm -v "$PWD/data:/work/data" poisonkit poisonkit make --dataset signs --rate 0
#       docker run --rm --gpus all -v "$PWD:/work" poisonkit:gpu benchmark train data/NAME.h5
FROM python:3.12-slim
ARG EXTRAS=benchmark
COPY setup.cfg setup.py pyproject.toml README.md LICENSE /src/
COPY data/FORMAT.md data/schema.json /src/data/
COPY docs /src/docs
COPY poisonkit /src/poisonkit
COPY benchmark /src/benchmark
RUN python -m pip install --no-cache-dir "/src[${EXTRAS}]"
RUN poisonkit --version && benchmark --version
ENV POISONKIT_CACHE=/work/.cache
WORKDIR /work
CMD ["poisonkit", "--help"]
