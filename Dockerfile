# tlbench scoring: docker build -t tlbench . && docker run --rm -v "$PWD:/work" tlbench score generated --dataset folder ...
# With CUDA: docker build --build-arg TORCH=https://download.pytorch.org/whl/cu126 -t tlbench:cuda . and `--gpus all`.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim
ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /opt/tlbench
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY tlbench tlbench
COPY observers observers
RUN pip install --no-cache-dir --index-url "$TORCH" "torch>=2.6,<2.14" && pip install --no-cache-dir ".[demo]"
RUN useradd --create-home tlbench
USER tlbench
# Checkpoints and kept evidence: mount folders here to keep them.
ENV TLBENCH_CHECKPOINTS=/home/tlbench/checkpoints TLBENCH_CACHE=/home/tlbench/cache
WORKDIR /work
ENTRYPOINT ["tlbench"]
