#!/usr/bin/env bash
# A Cloud TPU pod slice: the same command on every host; JAX finds the other hosts by itself.
#
#   TPU=my-slice ZONE=us-central2-b launch/tpu_pod.sh configs/STUDY.py --workdir /mnt/shared/runs/study --kd.mesh.fsdp 16
#
# A paper's pair on a slice of eight chips (its memory: docs/papers.md):
#
#   TPU=my-slice ZONE=us-central2-b launch/tpu_pod.sh configs/llama3_2_1b_from_qwen2_5_math.py --only eta \
#     --workdir /mnt/shared/runs/llama3_2_1b --eta.mesh.fsdp 8
#
# A slice of 16 chips (the types of a zone: gcloud compute tpus accelerator-types list --zone "$ZONE"):
#
#   gcloud compute tpus tpu-vm create "$TPU" --zone "$ZONE" --accelerator-type v5litepod-16 --version v2-alpha-tpuv5-lite
#
# The repository must lie in ~/jaxkd on every host, installed with `pip install -e '.[tpu]'`:
#
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker all --command "cd jaxkd && pip install -e '.[tpu]'"
#
# The workdir must be on a disk that all hosts mount; with the compilation cache there too
# (JAX_COMPILATION_CACHE_DIR=/mnt/shared/compiled in front of this script), a new slice need not compile again.  A run
# that was stopped by SIGTERM is saved and exits with status 75: the same command goes on.  A stage that fills a teacher cache runs in one process: run it
# first, with `--only NAME`, on a single-host slice.
set -euo pipefail

: "${TPU:?set TPU to the name of the slice}" "${ZONE:?set ZONE to its zone}"
if [ $# -lt 1 ]; then
  echo "usage: TPU=NAME ZONE=ZONE launch/tpu_pod.sh CONFIG [OVERRIDES]" >&2
  exit 2
fi
printf -v arguments '%q ' "$@"
printf -v cache '%q' "${JAX_COMPILATION_CACHE_DIR:-}"
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker all \
  --command "cd jaxkd && ${JAX_COMPILATION_CACHE_DIR:+JAX_COMPILATION_CACHE_DIR=$cache }JAXKD_DISTRIBUTED=1 python -m jaxkd.train --config $arguments"
